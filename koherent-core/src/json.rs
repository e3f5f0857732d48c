//! A strict JSON reader (RFC 8259) for what is signed or hashed.
//!
//! Two callers need more than a general parser tells them: the verifier must refuse duplicate member names, and the
//! canonical form of arguments needs each number as it was written. General parsers drop both, and what they do with
//! numbers depends on features that any other crate in the build may turn on. So this one is ours, small, and shared.

use std::borrow::Cow;

/// A JSON value that keeps numbers as text; members are sorted by name, and each name is there once. It borrows from its text
/// what stands there as it is, which is all but strings with escapes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json<'t> {
    Null,
    Bool(bool),
    /// The number as it stands in the text; its grammar has been checked.
    Number(&'t str),
    String(Cow<'t, str>),
    Array(Vec<Json<'t>>),
    Object(Vec<Member<'t>>),
}

/// A member of an object: its name and its value.
type Member<'t> = (Cow<'t, str>, Json<'t>);

/// Why a text is not the JSON we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Not JSON, or more text behind it.
    #[error("it is not JSON")]
    Syntax,
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// NaN, an infinity, or a number beyond a finite double.
    #[error("it has a number that is not finite")]
    NonFinite,
    /// An escape that names half of a surrogate pair.
    #[error("it has a lone surrogate")]
    LoneSurrogate,
    /// Nested deeper than the caller allows.
    #[error("it is nested too deeply")]
    TooDeep,
    /// An integer of more digits than CPython reads (4300).
    #[error("it has an integer of too many digits")]
    IntTooLong,
    /// Two members of one object have the same name.
    #[error("it has a member twice")]
    DuplicateMember,
}

/// What to do with two members of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duplicates {
    Refuse,
    LastWins,
}

/// Reads one JSON text, with nothing but white space around it.
pub(crate) fn parse(
    bytes: &[u8],
    max_depth: usize,
    duplicates: Duplicates,
) -> Result<Json<'_>, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
    let mut reader = Reader {
        text,
        at: 0,
        depth_left: max_depth,
        duplicates,
    };
    reader.skip_white_space();
    let value = reader.value()?;
    reader.skip_white_space();
    if reader.at == text.len() {
        Ok(value)
    } else {
        Err(JsonError::Syntax)
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth_left: usize,
    duplicates: Duplicates,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.eat(byte) {
            Ok(())
        } else {
            Err(JsonError::Syntax)
        }
    }

    fn skip_white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn literal(&mut self, word: &str, value: Json<'t>) -> Result<Json<'t>, JsonError> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(JsonError::Syntax)
        }
    }

    fn value(&mut self) -> Result<Json<'t>, JsonError> {
        match self.peek().ok_or(JsonError::Syntax)? {
            b'n' => self.literal("null", Json::Null),
            b't' => self.literal("true", Json::Bool(true)),
            b'f' => self.literal("false", Json::Bool(false)),
            b'"' => Ok(Json::String(self.string()?)),
            b'[' => self.nested(Self::array),
            b'{' => self.nested(Self::object),
            b'-' | b'0'..=b'9' => self.number(),
            // Python writes these; they are named apart so that the refusal says why.
            b'N' | b'I' => Err(self.not_finite_or_syntax()),
            _ => Err(JsonError::Syntax),
        }
    }

    fn not_finite_or_syntax(&self) -> JsonError {
        let rest = &self.text.as_bytes()[self.at..];
        if rest.starts_with(b"NaN") || rest.starts_with(b"Infinity") {
            JsonError::NonFinite
        } else {
            JsonError::Syntax
        }
    }

    fn nested(
        &mut self,
        read: fn(&mut Self) -> Result<Json<'t>, JsonError>,
    ) -> Result<Json<'t>, JsonError> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(JsonError::TooDeep)?;
        self.at += 1;
        self.skip_white_space();
        let value = read(self)?;
        self.depth_left += 1;
        Ok(value)
    }

    fn array(&mut self) -> Result<Json<'t>, JsonError> {
        let mut items = Vec::new();
        if self.eat(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            self.skip_white_space();
            items.push(self.value()?);
            self.skip_white_space();
            if self.eat(b']') {
                return Ok(Json::Array(items));
            }
            self.expect(b',')?;
        }
    }

    fn object(&mut self) -> Result<Json<'t>, JsonError> {
        let mut members = Vec::new();
        if self.eat(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.skip_white_space();
            let name = self.string()?;
            self.skip_white_space();
            self.expect(b':')?;
            self.skip_white_space();
            members.push((name, self.value()?));
            self.skip_white_space();
            if self.eat(b'}') {
                break;
            }
            self.expect(b',')?;
        }
        self.settle_duplicates(members).map(Json::Object)
    }

    /// Sorts members by code point of their names (UTF-8 sorts alike) and settles which of two equal names counts.
    fn settle_duplicates(
        &self,
        mut members: Vec<Member<'t>>,
    ) -> Result<Vec<Member<'t>>, JsonError> {
        // The sort is stable: among equal names the last one written stays last.
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        let before = members.len();
        members.reverse();
        members.dedup_by(|(a, _), (b, _)| a == b);
        members.reverse();
        if members.len() < before && self.duplicates == Duplicates::Refuse {
            return Err(JsonError::DuplicateMember);
        }
        Ok(members)
    }

    fn digits(&mut self) -> Result<usize, JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            Err(JsonError::Syntax)
        } else {
            Ok(self.at - start)
        }
    }

    fn number(&mut self) -> Result<Json<'t>, JsonError> {
        let start = self.at;
        if self.eat(b'-') && self.peek() == Some(b'I') {
            return Err(self.not_finite_or_syntax());
        }
        let leading_zero = self.peek() == Some(b'0');
        if self.digits()? > 1 && leading_zero {
            return Err(JsonError::Syntax);
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Json::Number(&self.text[start..self.at]))
    }

    fn string(&mut self) -> Result<Cow<'t, str>, JsonError> {
        self.expect(b'"')?;
        let mut out = String::new();
        loop {
            let text: &'t str = self.text;
            let rest = &text[self.at..];
            let is_plain = |byte: &u8| !matches!(*byte, b'"' | b'\\' | 0..0x20);
            let plain = rest.bytes().take_while(is_plain).count();
            let (plain, behind) = rest.split_at(plain);
            self.at += plain.len() + 1;
            match behind.as_bytes().first() {
                Some(b'"') if out.is_empty() => return Ok(Cow::Borrowed(plain)),
                Some(b'"') => {
                    out.push_str(plain);
                    return Ok(Cow::Owned(out));
                }
                Some(b'\\') => {
                    out.push_str(plain);
                    out.push(self.escape()?);
                }
                _ => return Err(JsonError::Syntax),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let byte = self.peek().ok_or(JsonError::Syntax)?;
        self.at += 1;
        Ok(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err(JsonError::Syntax),
        })
    }

    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let first = self.four_hex_digits()?;
        let code = match first {
            0xD800..=0xDBFF => {
                if !(self.eat(b'\\') && self.eat(b'u')) {
                    return Err(JsonError::LoneSurrogate);
                }
                let second = self.four_hex_digits()?;
                if !(0xDC00..=0xDFFF).contains(&second) {
                    return Err(JsonError::LoneSurrogate);
                }
                0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            other => other,
        };
        char::from_u32(code).ok_or(JsonError::LoneSurrogate)
    }

    fn four_hex_digits(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|b| char::from(b).to_digit(16));
            code = code * 16 + digit.ok_or(JsonError::Syntax)?;
            self.at += 1;
        }
        Ok(code)
    }
}

impl<'t> Json<'t> {
    /// The member of that name, where this is an object that has one.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else {
            return None;
        };
        // Members are sorted by name.
        let at = members
            .binary_search_by(|(member, _)| (**member).cmp(name))
            .ok()?;
        Some(&members[at].1)
    }

    /// Whether all numbers in it are finite doubles.
    pub(crate) fn is_finite(&self) -> bool {
        match self {
            Self::Number(text) => text.parse::<f64>().is_ok_and(f64::is_finite),
            Self::Array(items) => items.iter().all(Self::is_finite),
            Self::Object(members) => members.iter().all(|(_, value)| value.is_finite()),
            Self::Null | Self::Bool(_) | Self::String(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict(text: &str) -> Result<Json<'_>, JsonError> {
        parse(text.as_bytes(), 8, Duplicates::Refuse)
    }

    #[test]
    fn duplicate_members_are_refused_however_they_are_spelled() {
        assert_eq!(
            strict(r#"{"a":1,"\u0061":2}"#),
            Err(JsonError::DuplicateMember)
        );
        assert_eq!(
            strict(r#"{"x":{"a":1,"b":2,"a":3}}"#),
            Err(JsonError::DuplicateMember)
        );
    }

    #[test]
    fn last_of_two_equal_members_wins_where_the_caller_says_so() {
        let value = parse(br#"{"a":1,"b":2,"a":3}"#, 8, Duplicates::LastWins).unwrap();
        assert_eq!(value.member("a"), Some(&Json::Number("3")));
        assert_eq!(value.member("b"), Some(&Json::Number("2")));
    }

    #[test]
    fn nesting_is_counted_down_and_up_again() {
        assert!(strict("[[[[[[[[]]]]]]]]").is_ok());
        assert_eq!(strict("[[[[[[[[[]]]]]]]]]"), Err(JsonError::TooDeep));
        assert!(strict("[[],[],[],[],[],[],[],[],[],[]]").is_ok());
    }

    #[test]
    fn a_surrogate_pair_is_one_character_and_half_of_one_is_refused() {
        assert_eq!(strict(r#""\ud83d\ude00""#), Ok(Json::String("😀".into())));
        for half in [
            r#""\ud83d""#,
            r#""\ud83dx""#,
            r#""\ude00""#,
            r#""\ud83d\u0041""#,
        ] {
            assert_eq!(strict(half), Err(JsonError::LoneSurrogate), "{half}");
        }
    }

    #[test]
    fn text_around_the_value_is_refused() {
        for text in ["{}x", "\u{feff}{}", "{} {}", "", " ", "{}\0"] {
            assert_eq!(strict(text), Err(JsonError::Syntax), "{text:?}");
        }
    }
}

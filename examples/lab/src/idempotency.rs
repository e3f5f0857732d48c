//! The key under which a client may send a request again: `Idempotency-Key`
//! ([draft-ietf-httpapi-idempotency-key-header](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/)).

use http::HeaderMap;

/// The key of a request; `Err` where it has several, or one that nobody could have meant.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, Unreadable> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Unreadable);
    }
    let text = value.to_str().map_err(|_| Unreadable)?;
    read(text.trim()).map(Some).ok_or(Unreadable)
}

/// A request whose key cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable;

/// A String of RFC 8941 §3.3.3, as the draft has it; or the same without quotes, as many clients send it.
fn read(text: &str) -> Option<String> {
    let quoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let key = match quoted {
        Some(inner) => unescape(inner)?,
        None if text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"') =>
        {
            text.to_owned()
        }
        None => return None,
    };
    (1..=255).contains(&key.len()).then_some(key)
}

fn unescape(inner: &str) -> Option<String> {
    let mut key = String::new();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => key.push(
                characters
                    .next()
                    .filter(|next| matches!(next, '"' | '\\'))?,
            ),
            '"' => return None,
            ' '..='~' => key.push(character),
            _ => return None,
        }
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn keys_are_strings_of_structured_fields_or_bare() {
        assert_eq!(read("\"8e03978e-40d5\"").as_deref(), Some("8e03978e-40d5"));
        assert_eq!(read("8e03978e-40d5").as_deref(), Some("8e03978e-40d5"));
        assert_eq!(read(r#""a\"b\\c""#).as_deref(), Some(r#"a"b\c"#));
        for unreadable in ["", "\"\"", "\"a", "a b", r#""a"b""#, r#""a\x""#] {
            assert_eq!(read(unreadable), None, "{unreadable}");
        }
    }
}

//! Canonical JSON, version 1: what CPython's `json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"),
//! ensure_ascii=False)` writes, byte for byte.
//!
//! Issuers hash the arguments of a task in this form. It differs from RFC 8785 (JCS): names sort by code point, integers
//! keep all their digits, and `1` and `1.0` are different.

use crate::json::{Duplicates, Json, JsonError, parse};

/// How deep arguments may nest: a limit of ours, since each level costs stack. CPython goes to nearly 1000.
const MAX_DEPTH: usize = 512;

/// The most digits of an integer that CPython reads (`sys.int_info.default_max_str_digits`).
const MAX_INT_DIGITS: usize = 4300;

/// The canonical form of a JSON text.
///
/// Of two members with the same name the last one counts, as in Python.
///
/// # Errors
///
/// The text is not JSON, not UTF-8, has numbers that are not finite, lone surrogates or integers of more than 4300
/// digits: no issuer can have hashed it. Or it nests deeper than 512 levels, which is a limit of this library.
///
/// ```
/// use koherent_core::token::canonical_json;
/// assert_eq!(canonical_json(br#"{"b": 1e3, "a": [1, 1.0]}"#)?, r#"{"a":[1,1.0],"b":1000.0}"#);
/// # Ok::<(), koherent_core::token::JsonError>(())
/// ```
pub fn canonical_json(text: &[u8]) -> Result<String, JsonError> {
    let value = parse(text, MAX_DEPTH, Duplicates::LastWins)?;
    let mut out = String::with_capacity(text.len());
    write_value(&value, &mut out)?;
    Ok(out)
}

fn write_value(value: &Json<'_>, out: &mut String) -> Result<(), JsonError> {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::Number(text) => write_number(text, out)?,
        Json::String(text) => write_string(text, out),
        Json::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_value(item, out)?;
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            // The reader sorts members by code point already.
            for (at, (name, value)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_string(name, out);
                out.push(':');
                write_value(value, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn write_number(text: &str, out: &mut String) -> Result<(), JsonError> {
    if text.contains(['.', 'e', 'E']) {
        let number: f64 = text.parse().map_err(|_| JsonError::Syntax)?;
        if !number.is_finite() {
            return Err(JsonError::NonFinite);
        }
        write_float(number, out);
    } else if text.trim_start_matches('-').len() > MAX_INT_DIGITS {
        return Err(JsonError::IntTooLong);
    } else {
        out.push_str(if text == "-0" { "0" } else { text });
    }
    Ok(())
}

/// Writes a double as CPython's `repr` does: the shortest digits that read back alike, positional from 1e-4 up to below
/// 1e16, else with an exponent of at least two digits.
fn write_float(number: f64, out: &mut String) {
    // Rust's `{:e}` gives the same shortest digits: "-1.25e-7".
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa
        .strip_prefix('-')
        .map_or(("", mantissa), |positive| ("-", positive));
    out.push_str(sign);
    if !(-4..16).contains(&exponent) {
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        out.push_str(&format!("{mantissa}e{exponent_sign}{:02}", exponent.abs()));
        return;
    }
    let digits = mantissa.replace('.', "");
    match usize::try_from(exponent) {
        Ok(exponent) => {
            let whole = exponent + 1;
            if digits.len() > whole {
                out.push_str(&digits[..whole]);
                out.push('.');
                out.push_str(&digits[whole..]);
            } else {
                out.push_str(&digits);
                out.extend(std::iter::repeat_n('0', whole - digits.len()));
                out.push_str(".0");
            }
        }
        Err(_) => {
            out.push_str("0.");
            out.extend(std::iter::repeat_n(
                '0',
                exponent.unsigned_abs() as usize - 1,
            ));
            out.push_str(&digits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_cpython_writes_them() {
        for (input, expected) in [
            ("0.0", "0.0"),
            ("-0.0", "-0.0"),
            ("1e15", "1000000000000000.0"),
            ("1e16", "1e+16"),
            ("1e-4", "0.0001"),
            ("1.5e-5", "1.5e-05"),
            ("123456.789", "123456.789"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ] {
            assert_eq!(
                canonical_json(input.as_bytes()).as_deref(),
                Ok(expected),
                "{input}"
            );
        }
    }
}

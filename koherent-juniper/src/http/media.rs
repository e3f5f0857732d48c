//! What a request is written in, and what its answer may be written in.

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

/// How an answer is written (GraphQL over HTTP, §"Media Types"). It also decides the status: that of
/// `application/json` says whether HTTP worked, and nothing of what GraphQL answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/json`: for clients that name nothing better.
    Json,
    /// `application/graphql-response+json`.
    GraphQl,
}

const JSON: &str = "application/json";
const GRAPHQL: &str = "application/graphql-response+json";

impl Media {
    /// What the client accepts: `application/graphql-response+json` where it names it, and likes nothing better.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let (mut graphql, mut json) = (0, 0);
        let lists = headers.get_all(ACCEPT).iter();
        for range in lists.filter_map(|list| list.to_str().ok()).flat_map(ranges) {
            match range.name {
                name if name.eq_ignore_ascii_case(GRAPHQL) => graphql = range.weight,
                name if name.eq_ignore_ascii_case(JSON) => json = range.weight,
                _ => {}
            }
        }
        match graphql > 0 && graphql >= json {
            true => Self::GraphQl,
            false => Self::Json,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::GraphQl => GRAPHQL,
        }
    }
}

/// Whether the body is JSON in UTF-8, by what the client says of it (RFC 8259 §8.1).
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (types.next(), types.next()) else {
        return false;
    };
    let Ok(kind) = kind.to_str() else {
        return false;
    };
    let mut parts = kind.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case(JSON));
    is_json && parts.all(is_utf_8_if_charset)
}

fn is_utf_8_if_charset(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else {
        return true;
    };
    let is_charset = name.trim().eq_ignore_ascii_case("charset");
    let value = value.trim().trim_matches('"');
    !is_charset || value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8")
}

/// A media range (RFC 9110 §12.5.1), its weight in thousandths.
struct Range<'h> {
    name: &'h str,
    weight: u32,
}

fn ranges(list: &str) -> impl Iterator<Item = Range<'_>> {
    list.split(',').map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weights = parts.filter_map(|part| part.split_once('='));
        let weight = weights
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .find_map(|(_, weight)| weight.trim().parse::<f32>().ok());
        let weight = weight.unwrap_or(1.0).clamp(0.0, 1.0) * 1000.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between 0 and 1000"
        )]
        let weight = weight as u32;
        Range { name, weight }
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_answer_is_written_in_what_the_client_names() {
        for (accepted, media) in [
            (None, Media::Json),
            (Some("*/*"), Media::Json),
            (Some("application/*"), Media::Json),
            (Some("text/html"), Media::Json),
            (Some("application/json"), Media::Json),
            (Some("application/graphql-response+json"), Media::GraphQl),
            (
                Some("Application/GraphQL-Response+JSON; charset=utf-8"),
                Media::GraphQl,
            ),
            (
                Some("application/graphql-response+json, application/json"),
                Media::GraphQl,
            ),
            (
                Some("application/json, application/graphql-response+json"),
                Media::GraphQl,
            ),
            (
                Some("application/graphql-response+json;q=0.9, application/json"),
                Media::Json,
            ),
            (
                Some("application/graphql-response+json, application/json;q=0.9"),
                Media::GraphQl,
            ),
            (
                Some("application/graphql-response+json;q=0, */*"),
                Media::Json,
            ),
            (
                Some("application/graphql-response+json;q=0.1, */*"),
                Media::GraphQl,
            ),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accepted) = accepted {
                headers.insert(ACCEPT, HeaderValue::from_static(accepted));
            }
            assert_eq!(Media::accepted(&headers), media, "{accepted:?}");
        }
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, HeaderValue::from_static("application/json;q=0.5"));
        headers.append(ACCEPT, HeaderValue::from_static(GRAPHQL));
        assert_eq!(Media::accepted(&headers), Media::GraphQl);
    }

    #[test]
    fn bodies_are_json_in_utf_8() {
        for (kind, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json;charset=\"utf-8\"; x=y", true),
            ("application/json; charset=iso-8859-1", false),
            ("application/jsonx", false),
            ("application/graphql", false),
            ("application/graphql-response+json", false),
            ("text/plain", false),
            ("text/plain; application/json", false),
            ("application/x-www-form-urlencoded", false),
            ("multipart/form-data; boundary=x", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            assert_eq!(is_json(&headers), expected, "{kind:?}");
            headers.append(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            assert!(!is_json(&headers), "two of them");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}

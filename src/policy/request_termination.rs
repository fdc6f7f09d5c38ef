//! Kong's `request-termination`: an answer of our own to whoever may pass.
//!
//! Used by `policy::Policy` after all other plugins, so a route with it needs no service. `trigger`
//! and `echo` are not known here. Source: kong/plugins/request-termination/handler.lua at 3.9.

use std::borrow::Cow;

use http::{HeaderValue, StatusCode};

use super::Denial;
use crate::message::reply::{Format, Reply};

/// The plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestTermination {
    /// Kong's default is 503.
    pub status: StatusCode,
    /// What is said.
    pub content: Content,
}

/// What a terminated request is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// `{"message":"…"}`; `None` says what Kong says for the status, for most nothing.
    Message(Option<String>),
    /// A body as it is.
    Body {
        /// All of it.
        body: String,
        /// `None` is JSON, as in Kong.
        content_type: Option<HeaderValue>,
    },
}

impl RequestTermination {
    pub(super) fn answer(&self) -> Denial {
        let empty = || Reply::verbatim(self.status, Cow::Borrowed(""), None, bytes::Bytes::new());
        let reply = match &self.content {
            _ if self.status == StatusCode::NO_CONTENT => empty(),
            Content::Message(Some(message)) => Reply::exit(self.status, message.clone()),
            Content::Message(None) => {
                default(self.status).map_or_else(empty, |it| Reply::exit(self.status, it))
            }
            Content::Body { body, content_type } => {
                let content_type = content_type.clone().unwrap_or_else(|| Format::Json.content_type());
                Reply::verbatim(self.status, Cow::Borrowed(""), Some(content_type), body.clone().into())
            }
        };
        Denial::new(reply, "request-termination answers on this route")
    }
}

/// The handler's `DEFAULT_RESPONSE`.
fn default(status: StatusCode) -> Option<&'static str> {
    Some(match status {
        StatusCode::UNAUTHORIZED => "Unauthorized",
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::METHOD_NOT_ALLOWED => "Method not allowed",
        StatusCode::INTERNAL_SERVER_ERROR => "An unexpected error occurred",
        StatusCode::BAD_GATEWAY => "Bad Gateway",
        StatusCode::SERVICE_UNAVAILABLE => "Service unavailable",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::RequestId;

    const JSON: Option<&str> = Some("application/json; charset=utf-8");

    #[test]
    fn the_answer_is_kongs() {
        let text = Content::Message(Some("so \"long\"".into()));
        check(503, Content::Message(None), JSON, r#"{"message":"Service unavailable"}"#);
        check(418, Content::Message(None), None, "");
        check(403, text.clone(), JSON, r#"{"message":"so \"long\""}"#);
        check(204, text, None, "");
        let body = |content_type| Content::Body { body: "<p>".into(), content_type };
        check(200, body(None), JSON, "<p>");
        check(200, body(Some(HeaderValue::from_static("text/html"))), Some("text/html"), "<p>");
    }

    fn check(status: u16, content: Content, content_type: Option<&str>, body: &str) {
        let status = StatusCode::from_u16(status).unwrap();
        let reply = RequestTermination { status, content }.answer().reply;
        assert_eq!(reply.status, status);
        let told = reply.content_type(Format::Plain);
        assert_eq!(told.as_ref().map(|value| value.to_str().unwrap()), content_type);
        assert_eq!(reply.body(Format::Plain, &RequestId::new(0)), body);
    }
}

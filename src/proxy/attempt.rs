//! An attempt to send a request that failed, with what decides whether another is allowed, and what
//! another is made of.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use super::body::Body;
use super::error::UpstreamError;

/// What became of a request that got no answer.
#[derive(Debug)]
pub(super) struct Failed {
    /// Why.
    pub(super) error: UpstreamError,
    /// No byte of the request was sent: it is still, or again, where it was taken from.
    pub(super) unsent: bool,
    /// No connection was to be had: another target may do better, and this one no better.
    pub(super) unreached: bool,
    /// The other side said that it did not look at the request.
    pub(super) unprocessed: bool,
    /// It was sent on a connection that had been idle: the other side may have been closing it.
    pub(super) reused: bool,
}

impl Failed {
    pub(super) fn unsent(error: UpstreamError) -> Self {
        Self { unsent: true, ..Self::from(error) }
    }

    pub(super) fn unreached(error: UpstreamError) -> Self {
        Self { unreached: true, ..Self::unsent(error) }
    }

    /// An idle connection that broke when it was used again was closed in order, while the request
    /// was on its way.
    pub(super) fn broke_idle(&self) -> bool {
        self.reused && matches!(self.error, UpstreamError::Broken { .. })
    }
}

impl From<UpstreamError> for Failed {
    fn from(error: UpstreamError) -> Self {
        Self { error, unsent: false, unreached: false, unprocessed: false, reused: false }
    }
}

/// A request without a body as it is to be sent, should that be necessary once more.
///
/// Kept as text, one line for each field: a copy of the header map would be two tables and a count on
/// every value, for each request, and one in millions is sent twice.
#[derive(Debug)]
pub(super) struct Spare {
    method: Method,
    uri: Uri,
    fields: Vec<u8>,
}

impl Spare {
    pub(super) fn of(request: &Request<Body>) -> Self {
        let headers = request.headers();
        let mut fields = Vec::with_capacity(headers.len() * USUAL_LINE);
        for (name, value) in headers {
            fields.extend_from_slice(name.as_str().as_bytes());
            fields.push(b':');
            fields.extend_from_slice(value.as_bytes());
            fields.push(b'\n');
        }
        Self { method: request.method().clone(), uri: request.uri().clone(), fields }
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    pub(super) fn request(&self) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        request.method_mut().clone_from(&self.method);
        request.uri_mut().clone_from(&self.uri);
        *request.headers_mut() = self.headers();
        request
    }

    /// No name has a colon and no value a line end, so this is what was written.
    fn headers(&self) -> HeaderMap {
        let field = |line: &[u8]| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            Some((name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in self.fields.split(|byte| *byte == b'\n').filter_map(field) {
            headers.append(name, value);
        }
        headers
    }
}

/// Bytes of a field with its name, so that most requests fit at once.
const USUAL_LINE: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spare_is_the_request_it_was_made_of() {
        let mut request = Request::delete("/orders/7?now").body(Body::empty()).unwrap();
        for (name, value) in
            [("host", "a"), ("cookie", "a=1"), ("x-odd", "::a: b\t"), ("cookie", "b=2"), ("x-empty", "")]
        {
            request.headers_mut().append(name, HeaderValue::from_static(value));
        }
        request.headers_mut().append("x-bytes", HeaderValue::from_bytes(b"\xff").unwrap());
        let again = Spare::of(&request).request();
        assert_eq!((again.method(), again.uri()), (request.method(), request.uri()));
        assert_eq!(again.headers(), request.headers());
    }
}

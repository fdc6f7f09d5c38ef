//! From a request to its answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Collected, Either, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::facts::{Facts, TlsFacts};
use super::repeat::Repeat;

type AnswerBody = Either<Full<Bytes>, Repeat>;

/// The service of every connection.
pub(super) async fn answer(
    request: Request<Incoming>,
    tls: Option<Arc<TlsFacts>>,
) -> Result<Response<AnswerBody>, Infallible> {
    Ok(try_answer(request, tls)
        .await
        .unwrap_or_else(|Refusal(status, reason)| json(status, &serde_json::json!({ "message": reason }))))
}

async fn try_answer(
    request: Request<Incoming>,
    tls: Option<Arc<TlsFacts>>,
) -> Result<Response<AnswerBody>, Refusal> {
    let (head, body) = request.into_parts();
    match Wish::read(&head.uri)? {
        Wish::Bytes { length, chunked, delay } => {
            Ok(Response::new(Either::Right(Repeat::new(length, !chunked, delay))))
        }
        Wish::Echo(status) => {
            let body = collect(body).await?;
            let trailers = body.trailers().cloned();
            let body = body.to_bytes();
            Ok(json(status, &Facts::of(&head, &body, trailers.as_ref(), tls.as_deref())))
        }
    }
}

/// What the path asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Echo(StatusCode),
    Bytes { length: u64, chunked: bool, delay: Option<Duration> },
}

impl Wish {
    fn read(uri: &Uri) -> Result<Self, Refusal> {
        let refuse = |reason| Refusal(StatusCode::BAD_REQUEST, reason);
        if let Some(status) = uri.path().strip_prefix("/status/") {
            return match status.parse() {
                _ if ["ready", "health"].contains(&status) => Ok(Self::Echo(StatusCode::OK)),
                Ok(status @ 200..=599) => Ok(Self::Echo(StatusCode::from_u16(status).unwrap_or_default())),
                _ => Err(refuse("/status/ takes a number from 200 to 599")),
            };
        }
        let Some(length) = uri.path().strip_prefix("/bytes/") else {
            return Ok(Self::Echo(StatusCode::OK));
        };
        let length = length.parse().map_err(|_| refuse("/bytes/ takes a number"))?;
        let (mut chunked, mut delay) = (false, None);
        for parameter in uri.query().unwrap_or_default().split('&') {
            match parameter.split_once('=').unwrap_or((parameter, "")) {
                ("chunked", _) => chunked = true,
                ("delay_ms", value) => match value.parse() {
                    Ok(delay_ms @ 0..=MAX_DELAY_MS) => delay = Some(Duration::from_millis(delay_ms)),
                    _ => return Err(refuse("delay_ms takes a number up to 10000")),
                },
                _ => {}
            }
        }
        Ok(Self::Bytes { length, chunked, delay })
    }
}

/// An answer that is not what was asked for, and why.
#[derive(Debug, PartialEq, Eq)]
struct Refusal(StatusCode, &'static str);

async fn collect(body: Incoming) -> Result<Collected<Bytes>, Refusal> {
    let too_large = Refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 16 MiB");
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_large);
    }
    match timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large),
        Ok(Err(_)) => Err(Refusal(StatusCode::BAD_REQUEST, "the body is broken")),
        Err(_) => Err(Refusal(StatusCode::REQUEST_TIMEOUT, "the body did not come within 60 seconds")),
    }
}

fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<AnswerBody> {
    // Serializing strings and numbers to memory has no way to fail.
    let body = serde_json::to_vec(value).unwrap_or_default();
    let bodiless = matches!(status.as_u16(), 204 | 205 | 304);
    let mut response =
        Response::new(Either::Left(if bodiless { Full::default() } else { Full::new(body.into()) }));
    *response.status_mut() = status;
    if !bodiless {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}

/// A request body, from its head to its last byte.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a request body that are kept: it is told back whole.
const MAX_BODY: usize = 16 * 1024 * 1024;
/// Well below the idle limits on the way, so that a slow answer is never taken for a dead one.
const MAX_DELAY_MS: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_what_is_wished() {
        let check = |path: &str, expected: Wish| {
            assert_eq!(Wish::read(&path.parse().unwrap()), Ok(expected), "{path}");
        };
        let bytes = |length, chunked, delay_ms: Option<u64>| {
            let delay = delay_ms.map(Duration::from_millis);
            Wish::Bytes { length, chunked, delay }
        };
        check("/", Wish::Echo(StatusCode::OK));
        check("/bytes", Wish::Echo(StatusCode::OK));
        check("/status/ready", Wish::Echo(StatusCode::OK));
        check("/status/health", Wish::Echo(StatusCode::OK));
        check("/status/503", Wish::Echo(StatusCode::SERVICE_UNAVAILABLE));
        check("/bytes/0", bytes(0, false, None));
        check("/bytes/9?x=1&delay_ms=20&chunked", bytes(9, true, Some(20)));
        check("http://a.example/bytes/9", bytes(9, false, None));
    }

    #[test]
    fn a_number_that_is_none_is_refused() {
        for path in [
            "/status/",
            "/status/ok",
            "/status/101",
            "/status/600",
            "/bytes/",
            "/bytes/-1",
            "/bytes/1?delay_ms=x",
            "/bytes/1?delay_ms=10001",
        ] {
            let refusal = Wish::read(&path.parse().unwrap()).unwrap_err();
            assert_eq!(refusal.0, StatusCode::BAD_REQUEST, "{path}");
        }
    }
}

//! What is told of a panic: where, and the words of the source, never the text that was put together from
//! them. That may hold a key, or what a client sent.

use std::any::Any;
use std::panic::PanicHookInfo;
use std::thread;

/// A panic as the log tells it.
#[derive(Debug)]
pub struct PanicReport {
    /// File, line and column in our source or a library's.
    pub place: String,
    /// Thread by its name.
    pub thread: String,
    /// The words of the source, where it has any.
    pub what: &'static str,
}

impl PanicReport {
    /// For a hook of `std::panic`.
    #[must_use]
    pub fn of(panic: &PanicHookInfo<'_>) -> Self {
        Self {
            place: panic.location().map(ToString::to_string).unwrap_or_default(),
            thread: thread::current().name().unwrap_or_default().to_owned(),
            what: words(panic.payload()),
        }
    }
}

/// A text with values in it is a `String`; one without is the literal itself.
fn words(payload: &(dyn Any + Send)) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("a panic")
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn words_of_the_source_are_told_and_values_are_not() {
        let payload = |panics: fn()| catch_unwind(panics).unwrap_err();
        assert_eq!(words(payload(|| panic!("no such index")).as_ref()), "no such index");
        let secret = payload(|| panic!("{} is no key", String::from("hunter2")));
        assert_eq!(words(secret.as_ref()), "a panic");
        let cut = payload(|| drop("hünter2"[..2].to_owned()));
        assert_eq!(words(cut.as_ref()), "a panic");
    }
}

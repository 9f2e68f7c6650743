//! What can go wrong with a request, and the one place where that becomes a status and a body.

use bytes::Bytes;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use ledger::error::Invalid;

use super::body::Body;
use super::json;
use crate::chain::SubmitError;
use crate::store::StoreError;

/// Why a request was not answered as it wished.
#[derive(Debug)]
pub enum ApiError {
    /// No route has this path.
    UnknownPath,
    /// The path has no such method.
    Method {
        /// The methods it has.
        allow: &'static str,
    },
    /// A bad parameter.
    Parameter {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        text: String,
    },
    /// Parameters that the path does not have, joined with `, `.
    UnknownArguments(String),
    /// A body that is no JSON, or is in no known character set; 1.0.1's framework has one sentence for all of it.
    Unreadable,
    /// A request that reads well and still makes no sense; the text is 1.0.1's, or says what to do instead.
    Refused(String),
    /// The path is known, what it names is not.
    NotFound,
    /// A broken rule of the ledger.
    Invalid(Invalid),
    /// A body beyond the limit.
    TooLarge {
        /// Bytes.
        limit: usize,
    },
    /// The body did not come in time, or broke off.
    BodyTime {
        /// Seconds.
        limit: u64,
    },
    /// The node cannot tell now; asking again is safe.
    Busy {
        /// In words.
        reason: String,
        /// Seconds.
        retry_after: u64,
    },
}

/// How an error's body is written.
enum Form {
    /// 1.0.1's page for unknown paths.
    Page,
    /// `{"message": ...}` by the framework's writer.
    Framework(ledger::json::Value<'static>),
    /// `{"message": "...", "status": ...}` by the application's writer.
    Application(String),
}

const UNKNOWN_PATH: &str = "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 3.2 Final//EN\">\n<title>404 Not Found</title>\n\
    <h1>Not Found</h1>\n<p>The requested URL was not found on the server. If you entered the URL manually please check \
    your spelling and try again.</p>\n";

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Busy { reason: error.to_string(), retry_after: 2 }
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Invalid(broken) => Self::Invalid(broken),
            SubmitError::Busy { reason, retry_after } => Self::Busy { reason, retry_after },
        }
    }
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::UnknownPath | Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Parameter { .. }
            | Self::UnknownArguments(_)
            | Self::Unreadable
            | Self::Refused(_)
            | Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTime { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn form(self) -> Form {
        let framework = |message: &'static str| Form::Framework(json::text(message));
        match self {
            Self::UnknownPath => Form::Page,
            Self::Method { .. } => framework("The method is not allowed for the requested URL."),
            Self::Parameter { name, text } => Form::Framework(json::object([(name, json::text(text))])),
            Self::UnknownArguments(names) => Form::Framework(json::text(format!("Unknown arguments: {names}"))),
            Self::Unreadable => {
                framework("The browser (or proxy) sent a request that this server could not understand.")
            }
            Self::Refused(text) => Form::Application(text),
            Self::NotFound => Form::Application("Not found".to_owned()),
            Self::Invalid(Invalid::Schema(text)) => Form::Application(format!("Invalid transaction schema: {text}")),
            Self::Invalid(broken) => Form::Application(format!("Invalid transaction ({}): {broken}", broken.class())),
            Self::TooLarge { limit } => Form::Application(format!(
                "The request's body is larger than {limit} bytes, which is the most this node takes in."
            )),
            Self::BodyTime { limit } => {
                Form::Application(format!("The request's body did not arrive whole within {limit} seconds."))
            }
            Self::Busy { reason, .. } => Form::Application(format!("Not done now: {reason}")),
        }
    }

    /// The answer. `compact`: see [`json::jsonify`].
    pub fn into_response(self, compact: bool) -> Response<Body> {
        let status = self.status();
        let allow = if let Self::Method { allow } = self { Some(allow) } else { None };
        let retry_after = if let Self::Busy { retry_after, .. } = self { Some(retry_after) } else { None };
        let closes = matches!(self, Self::TooLarge { .. } | Self::BodyTime { .. });
        let (content_type, body) = match self.form() {
            Form::Page => ("text/html", Bytes::from_static(UNKNOWN_PATH.as_bytes())),
            Form::Framework(message) => {
                let body = json::object([("message", message)]);
                ("application/json", json::restful(&body))
            }
            Form::Application(message) => {
                // 1.0.1 logs these, and operators look for the words.
                tracing::error!(
                    target: "bigchaindb.web.views.base",
                    "HTTP API error: {} - {}", status.as_u16(), one_line(&message)
                );
                let body = json::object([("message", json::text(message)), ("status", json::number(status.as_u16()))]);
                ("application/json", json::jsonify(&body, compact))
            }
        };
        let mut response = Response::new(Body::Full(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(allow) = allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A client's text in a log: what is no printable character is escaped, so that it cannot look like a line of ours.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_debug()) } else { line.push(c) }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_logged_text_stays_on_its_line() {
        assert_eq!(one_line("It's \"new\"\n[ERROR] \u{1b}[2J ünï"), "It's \"new\"\\n[ERROR] \\u{1b}[2J ünï");
    }
}

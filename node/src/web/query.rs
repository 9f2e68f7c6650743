//! Query strings as Werkzeug 0.12 reads them, and parameters as Flask-RESTful's `reqparse` checks them.

use std::borrow::Cow;

use super::error::ApiError;
use super::openapi::Schema;

/// A parameter of the query string.
pub struct Parameter<T> {
    /// Its name, case-sensitive.
    pub name: &'static str,
    /// Whether it must be there; an empty value is there.
    pub required: bool,
    /// What it is for, for people.
    pub about: &'static str,
    /// Reads one value; the error is what 1.0.1 says about it.
    pub convert: fn(&str) -> Result<T, String>,
    /// What values `convert` accepts.
    pub schema: Schema,
}

/// A parameter without its type, for lists of them.
pub trait Described: Sync {
    /// See [`Parameter::name`].
    fn name(&self) -> &'static str;
    /// See [`Parameter::required`].
    fn required(&self) -> bool;
    /// See [`Parameter::about`].
    fn about(&self) -> &'static str;
    /// See [`Parameter::schema`].
    fn schema(&self) -> Schema;
}

impl<T> Described for Parameter<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn required(&self) -> bool {
        self.required
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn schema(&self) -> Schema {
        self.schema
    }
}

/// The pairs of a query string, in order.
#[derive(Debug, Default)]
pub struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// Reads a query string (without its `?`). Nothing is an error.
    pub fn parse(text: &'a str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        });
        Self { pairs: pairs.collect() }
    }

    /// The first value of a parameter that need not be there. All its values are checked; the first bad one is the
    /// error.
    pub fn optional<T>(&self, parameter: &Parameter<T>) -> Result<Option<T>, ApiError> {
        let mut first = None;
        for (_, value) in self.pairs.iter().filter(|(name, _)| name == parameter.name) {
            let value =
                (parameter.convert)(value).map_err(|text| ApiError::Parameter { name: parameter.name, text })?;
            first.get_or_insert(value);
        }
        Ok(first)
    }

    /// The first value of a parameter that must be there.
    pub fn required<T>(&self, parameter: &Parameter<T>) -> Result<T, ApiError> {
        self.optional(parameter)?.ok_or_else(|| ApiError::Parameter {
            name: parameter.name,
            text: "Missing required parameter in the JSON body or the post body or the query string".to_owned(),
        })
    }

    /// Refuses whatever is not one of these.
    pub fn only(&self, parameters: &[&dyn Described]) -> Result<(), ApiError> {
        let mut unknown: Vec<&str> = Vec::new();
        for (name, _) in &self.pairs {
            let known = parameters.iter().any(|p| p.name() == name);
            // Looking through the list is quadratic at worst; a query that is refused need not be told every name.
            if !known && unknown.len() < 100 && !unknown.contains(&name.as_ref()) {
                unknown.push(name);
            }
        }
        if unknown.is_empty() { Ok(()) } else { Err(ApiError::UnknownArguments(unknown.join(", "))) }
    }
}

/// Percent-decodes; what is no UTF-8 becomes U+FFFD, a `%` without two digits stays. `plus`: `+` is a space.
pub fn decode(text: &str, plus: bool) -> Cow<'_, str> {
    if !text.bytes().any(|c| c == b'%' || plus && c == b'+') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        match escaped {
            Some(byte) => {
                out.push(byte);
                rest = &after[2..];
            }
            None if plus && first == b'+' => out.push(b' '),
            None => out.push(first),
        }
    }
    Cow::Owned(String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

fn digit(c: u8) -> Option<u8> {
    char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Parameter<String> =
        Parameter { name: "a", required: true, about: "", convert: |v| Ok(v.to_owned()), schema: Schema::Text };
    const GOOD: Parameter<String> =
        Parameter { convert: |v| if v == "bad" { Err(format!("{v}!")) } else { Ok(v.to_owned()) }, ..ANY };

    #[track_caller]
    fn check(query: &str, a: Option<&str>) {
        assert_eq!(Query::parse(query).optional(&ANY).ok().flatten().as_deref(), a, "{query}");
    }

    #[test]
    fn pairs_are_read_as_werkzeug_reads_them() {
        check("", None);
        check("a", Some(""));
        check("a=", Some(""));
        check("=a", None);
        check("A=1", None);
        check("b=1&&a=2&a=3", Some("2"));
        check("a=b=c", Some("b=c"));
        check("a=1;b=2", Some("1;b=2"));
        check("a=+%2B%20", Some(" + "));
        check("%61=x", Some("x"));
        check("a=%", Some("%"));
        check("a=%4", Some("%4"));
        check("a=%zz%41", Some("%zzA"));
        check("a=%ff%C3%BC", Some("\u{fffd}ü"));
    }

    #[test]
    fn every_value_is_checked_and_the_first_one_wins() {
        assert_eq!(Query::parse("a=1&a=2").required(&GOOD).ok().as_deref(), Some("1"));
        assert!(matches!(
            Query::parse("a=1&a=bad").required(&GOOD),
            Err(ApiError::Parameter { name: "a", text }) if text == "bad!"
        ));
        assert!(matches!(Query::parse("b=1").required(&GOOD), Err(ApiError::Parameter { name: "a", .. })));
    }

    #[test]
    fn unknown_names_are_told_in_query_order_once_each() {
        let refused = Query::parse("foo=1&a=2&bar=&foo").only(&[&ANY]);
        assert!(matches!(refused, Err(ApiError::UnknownArguments(names)) if names == "foo, bar"));
        assert!(Query::parse("a=2&a=3").only(&[&ANY]).is_ok());
    }
}

//! Reading and writing JSON, against recorded answers of the reference and against other parsers.
#![allow(clippy::unwrap_used)]

#[path = "vectors/canonical.rs"]
mod canonical;

use std::borrow::Cow;
use std::thread;

use ledger::json::{Int, MAX_DEPTH, Object, ParseError, Value, parse};

#[test]
fn canonical_form_is_the_references() {
    let (judged, failures) = canonical::judge(include_str!("data/canonical-json.json"));
    assert_eq!(judged, 390);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What the writers that answer HTTP requests make of a text.
fn http(text: &str) -> [String; 3] {
    let value = parse(text.as_bytes()).unwrap();
    let mut out = [Vec::new(), Vec::new(), Vec::new()];
    value.write_http(&mut out[0]);
    value.write_http_indented(&mut out[1]);
    value.write_http_compact(&mut out[2]);
    out.map(|text| String::from_utf8(text).unwrap())
}

#[test]
fn http_answers_are_the_references() {
    let [spaced, indented, compact] =
        http(r#"{"b":[1,{"d":null,"c":true}],"a":{},"e":[],"f":"\u0007\t\u007f\"\\/é🍺","g":[1e22,0.00001,-0.0,1.5]}"#);
    let string = r#""\u0007\t\u007f\"\\/\u00e9\ud83c\udf7a""#;
    assert_eq!(
        spaced,
        format!(
            r#"{{"b": [1, {{"d": null, "c": true}}], "a": {{}}, "e": [], "f": {string}, "g": [1e+22, 1e-05, -0.0, 1.5]}}"#
        )
    );
    assert_eq!(
        compact,
        format!(r#"{{"a":{{}},"b":[1,{{"c":true,"d":null}}],"e":[],"f":{string},"g":[1e+22,1e-05,-0.0,1.5]}}"#)
    );
    let lines = [
        "{",
        "  \"a\": {}, ",
        "  \"b\": [",
        "    1, ",
        "    {",
        "      \"c\": true, ",
        "      \"d\": null",
        "    }",
        "  ], ",
        "  \"e\": [], ",
        &format!("  \"f\": {string}, "),
        "  \"g\": [",
        "    1e+22, ",
        "    1e-05, ",
        "    -0.0, ",
        "    1.5",
        "  ]",
        "}",
    ];
    assert_eq!(indented, lines.join("\n"));
    assert_eq!(http("[]"), ["[]"; 3]);
    assert_eq!(http("[NaN,-Infinity,1e999]")[0], "[NaN, -Infinity, Infinity]");
}

#[test]
fn values_print_as_python_prints_them() {
    let text = r#"[null,true,false,-5,18446744073709551616,1.0,"it's",[],{},{"b":{"a":"\u0000"},"c":1e300}]"#;
    let repr =
        r#"[None, True, False, -5, 18446744073709551616, 1.0, "it's", [], {}, {'b': {'a': '\x00'}, 'c': 1e+300}]"#;
    assert_eq!(parse(text.as_bytes()).unwrap().repr(), repr);
}

#[test]
fn a_repeated_key_keeps_its_first_place_and_its_last_value() {
    // Few members are compared with each other, many are sorted.
    for members in [3, 16, 17, 1000] {
        let text: Vec<String> = (0..members).map(|i| format!("\"k{}\":{i}", i % (members / 3 + 1))).collect();
        let value = parse(format!("{{{}}}", text.join(",")).as_bytes()).unwrap().into_owned();
        let mut expected: Vec<(String, usize)> = Vec::new();
        for i in 0..members {
            let key = format!("k{}", i % (members / 3 + 1));
            match expected.iter_mut().find(|(k, _)| *k == key) {
                Some(member) => member.1 = i,
                None => expected.push((key, i)),
            }
        }
        let got = value.as_object().unwrap().iter();
        let got: Vec<(String, usize)> = got.map(|(k, v)| (k.to_owned(), v.repr().parse().unwrap())).collect();
        assert_eq!(got, expected, "{members} members");
    }
}

#[test]
fn objects_are_built_by_hand() {
    let mut object = Object::default();
    object.insert("b", Value::Null);
    object.insert("a", Value::Bool(true));
    object.insert("b".to_owned(), Value::Int(Int::Small(1)));
    assert_eq!(Value::Object(object.clone()).repr(), "{'b': 1, 'a': True}");
    assert_eq!(object.remove("b"), Some(Value::Int(Int::Small(1))));
    assert_eq!((object.remove("b"), object.get("b"), object.len()), (None, None, 1));
}

#[test]
fn what_the_reference_s_parser_refuses() {
    let texts: &[&[u8]] = &[
        b"",
        b" ",
        b"\xEF\xBB\xBF{}",
        b"\"\n\"",
        b"01",
        b"-01",
        b"1.",
        b".5",
        b"+1",
        b"0x10",
        b"1_000",
        b"'a'",
        b"{a:1}",
        b"[1,]",
        b"{\"a\":1,}",
        b"[1]//",
        b"/**/1",
        b"{} {}",
        b"1\0",
        b"\"\\x41\"",
        b"\"\\u00e\"",
        b"[1",
        b"\"\xED\xA0\x80\"",
        b"\x0C1",
        b"\xC2\xA01",
        b"nan",
        b"infinity",
        b"True",
    ];
    for text in texts {
        let shown = String::from_utf8_lossy(text);
        assert!(matches!(parse(text), Err(ParseError::Syntax { .. })), "{shown:?}: {:?}", parse(text));
    }
}

/// Reads, copies, compares, prints and drops on a stack of this many bytes.
fn on_small_stack(bytes: usize, text: String) -> Result<(), ParseError> {
    let work = move || {
        let value = parse(text.as_bytes())?;
        let owned = value.clone().into_owned();
        assert!(owned == value || text.contains("NaN"));
        let _ = (owned.repr(), http_length(&owned));
        let _ = ledger::schema::transaction(&owned);
        let canonical = owned.to_canonical();
        assert_eq!(parse(&canonical).unwrap().to_canonical(), canonical);
        Ok(())
    };
    thread::Builder::new().stack_size(bytes).spawn(work).unwrap().join().unwrap()
}

fn http_length(value: &Value<'_>) -> usize {
    let mut out = Vec::new();
    value.write_http(&mut out);
    value.write_http_compact(&mut out);
    value.write_http_indented(&mut out);
    out.len()
}

/// What a small thread has: a release build needs far less, a debug build's frames are larger.
const STACK: usize = if cfg!(debug_assertions) { 2 << 20 } else { 512 << 10 };

#[test]
fn nesting_is_bounded_and_costs_no_stack() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let levels_each = open.matches(['[', '{']).count();
        let nested = |n: usize| format!("{}1{}", open.repeat(n), close.repeat(n));
        assert_eq!(on_small_stack(STACK, nested(MAX_DEPTH / levels_each)), Ok(()), "{open}");
        let deeper = nested(MAX_DEPTH / levels_each + 1);
        assert_eq!(on_small_stack(STACK, deeper), Err(ParseError::TooDeep), "{open}");
        // Without an end, and far deeper than the limit.
        assert_eq!(on_small_stack(STACK, open.repeat(10_000_000 / open.len())), Err(ParseError::TooDeep), "{open}");
    }
    // A vote of many levels is judged too.
    let details = |n: usize| {
        let inner = "{\"type\":\"threshold-sha-256\",\"threshold\":1,\"subconditions\":[";
        format!("{}{}", inner.repeat(n), "]}".repeat(n))
    };
    let output = format!("{{\"outputs\":[{{\"condition\":{{\"details\":{},\"uri\":1}}}}]}}", details(450));
    assert_eq!(on_small_stack(STACK, output), Ok(()));
}

#[test]
fn ten_megabytes_of_malice_are_read_or_refused() {
    const MILLION: usize = 1_000_000;
    // Each has the shape that makes a careless parser slow; being done at all is the test.
    let keys = |count: usize, key: fn(usize) -> usize| {
        let members: Vec<String> = (0..count).map(|i| format!("\"key{}\":1", key(i))).collect();
        format!("{{{}}}", members.join(","))
    };
    let object = keys(MILLION, |_| 7);
    assert_eq!(parse(object.as_bytes()).unwrap().as_object().unwrap().len(), 1);
    for (object, distinct) in [(keys(100_000, |i| i), 100_000), (keys(100_000, |i| i % 1000), 1000)] {
        let value = parse(object.as_bytes()).unwrap();
        assert_eq!(value.as_object().unwrap().len(), distinct);
        assert_eq!(parse(&value.to_canonical()).unwrap().as_object().unwrap().len(), distinct);
    }
    let digits = "9".repeat(10 * MILLION);
    assert_eq!(parse(digits.as_bytes()), Ok(Value::Int(Int::Big(Cow::Borrowed(&digits)))));
    assert_eq!(parse(format!("0.{digits}").as_bytes()), Ok(Value::Float(1.0)));
    assert_eq!(parse(format!("1e{digits}").as_bytes()), Ok(Value::Float(f64::INFINITY)));
    assert_eq!(parse(format!("1e-{digits}").as_bytes()), Ok(Value::Float(0.0)));
    assert_eq!(parse(format!("-{digits}x").as_bytes()), Err(ParseError::Syntax { at: digits.len() + 1 }));

    let escapes = format!("\"{}\"", "\\u00e9".repeat(10 * MILLION / 6));
    assert_eq!(parse(escapes.as_bytes()).unwrap().as_str().unwrap().chars().count(), 10 * MILLION / 6);
    let halves = format!("\"{}\"", "\\ud800".repeat(MILLION));
    assert_eq!(parse(halves.as_bytes()), Err(ParseError::LoneSurrogate { at: 1 }));
    let unended = format!("\"{}", "\\\\".repeat(5 * MILLION));
    assert_eq!(parse(unended.as_bytes()), Err(ParseError::Syntax { at: unended.len() }));
    let elements = format!("[{}", "1,".repeat(5 * MILLION));
    assert_eq!(parse(elements.as_bytes()), Err(ParseError::Syntax { at: elements.len() }));
}

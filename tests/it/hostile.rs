//! Hostile responses and unusual input: memory and time stay bounded, and nothing is published that should not be.

#![allow(clippy::print_stdout, reason = "what each run took is worth a line")]

use std::fmt::Write as _;
use std::io::{Read as _, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::api::{Api, Reply, Request, envelope, row};
use crate::support::lake::{day_file, files, record, rows};
use crate::support::{KEY, Ran, Run, binary, finish, peak_kib};
use flate2::Compression;
use flate2::write::GzEncoder;

const DAY: &str = "2024-01-05";
const DATE: &str = "20240105";

/// How a run ended, and the resources that it used.
struct Measured {
    ran: Ran,
    peak_mib: u64,
    took: Duration,
}

/// Runs a command, and watches its memory.
fn measure(mut command: Command) -> Measured {
    let began = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let stdout = std::thread::spawn(move || {
        let mut text = Vec::new();
        out.read_to_end(&mut text).map(|_| text)
    });
    let stderr = std::thread::spawn(move || {
        let mut text = Vec::new();
        err.read_to_end(&mut text).map(|_| text)
    });
    let mut peak_mib = 0;
    let status = loop {
        peak_mib = peak_mib.max(peak_kib(child.id()) >> 10);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > Duration::from_mins(3) {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let (stdout, stderr) = (stdout.join().unwrap().unwrap(), stderr.join().unwrap().unwrap());
    assert!(peak_mib > 0, "its memory was not measured");
    Measured { ran: Output { status, stdout, stderr }.into(), peak_mib, took: began.elapsed() }
}

fn command(url: &str, dest: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cookiepay-etl"));
    command.args(["backfill", "--api-id", "m1", "--from", DAY, "--to", DAY, "--rate-limit", "0", "--retries", "1", "--base-url", url]);
    command.args(more).arg("--dest").arg(dest).env("COOKIEPAY_API_KEY", KEY);
    command
}

/// The most memory that a run may use for a response that it refuses, in a build without optimizations.
const MEMORY_MIB: u64 = 100;
const TIME: Duration = Duration::from_mins(1);

/// Runs a day against a hostile API. The day must fail as `kind` with a message that contains `why`, within bounds, and
/// nothing may be published.
#[track_caller]
fn refused_by(name: &str, url: &str, more: &[&str], kind: &str, why: &str) {
    let lake = tempfile::tempdir().unwrap();
    let Measured { ran, peak_mib, took } = measure(command(url, lake.path(), more));
    println!("{name}: exit {}, {peak_mib} MiB, {took:?}", ran.code);
    let message = ran.failure(kind);
    assert!(message.contains(why), "{name}: {message}");
    assert!(message.len() < 1000 && ran.stderr.len() < 20_000, "{name}: {ran:?}");
    assert!(peak_mib < MEMORY_MIB && took < TIME, "{name}: {peak_mib} MiB, {took:?}");
    let published: Vec<String> = files(lake.path()).into_iter().filter(|file| !file.starts_with("rejects")).collect();
    assert!(published.is_empty(), "{name}: {published:?}");
}

#[track_caller]
fn refused(name: &str, reply: Reply, more: &[&str], kind: &str, why: &str) {
    let api = Api::new(move |_| reply.clone());
    refused_by(name, &api.url, more, kind, why);
}

/// One member of a gzip stream; several in a row are also a stream.
fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Writes `piece` `times` times, or until the client closes the connection.
fn again(times: usize, piece: Vec<u8>) -> impl Fn(&mut dyn Write) -> std::io::Result<()> {
    move |out| (0..times).try_for_each(|_| out.write_all(&piece))
}

#[test]
fn a_bomb_is_refused_at_the_bound() {
    let spaces = gzip(&vec![b' '; 1 << 20]).repeat(4096);
    assert!(spaces.len() < 32 << 20);
    let headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
    refused("spaces", Reply::new(200, &headers, &spaces), &["--max-answer-mib", "16"], "contract", "larger than 16 MiB");
    let zeros = gzip(&vec![0; 1 << 20]).repeat(1024);
    refused("zeros", Reply::new(200, &headers, zeros), &[], "upstream", "not JSON");
    let nested = gzip(&spaces[..1 << 20]);
    refused("gzip in gzip", Reply::new(200, &headers, nested), &[], "upstream", "not JSON");
    for encoding in ["deflate", "br", "gzip, gzip"] {
        refused(encoding, Reply::new(200, &[("Content-Encoding", encoding)], "x"), &[], "contract", "unknown content encoding");
    }
    let bomb = gzip(&vec![b' '; 1 << 20]).repeat(8);
    let token = Api::scripted(move |_| Reply::new(200, &headers, &bomb));
    refused_by("as a token", &token.url, &[], "upstream", "token response");
}

#[test]
fn a_body_shorter_than_declared_is_refused() {
    let promised = |bytes: &str| Reply::undeclared(200, &[("Content-Length", bytes)], r#"{"RESULTCODE":"0000","DATA":["#);
    refused("10 GB", promised("10737418240"), &[], "contract", "larger than 4096 MiB");
    refused("3 GB", promised("3221225472"), &[], "upstream", "broke off");
    refused("no number", promised("-1"), &[], "upstream", "the connection to the API broke");
    let chunks = |text: &'static str| Reply::undeclared(200, &[("Transfer-Encoding", "chunked")], text);
    refused("a chunk of no size", chunks("zz\r\n{}\r\n"), &[], "upstream", "broke off");
    refused("a chunk of all sizes", chunks("fffffffffffffff\r\n{"), &[], "upstream", "broke off");
    // a head that does not end
    let head: String = (0..20_000).fold(String::new(), |mut head, n| {
        let _ = write!(head, "X-{n}: {}\r\n", "x".repeat(100));
        head
    });
    refused(
        "headers",
        Reply::undeclared(200, &[("X", &format!("\r\n{head}Y:"))], "{}"),
        &[],
        "upstream",
        "the connection to the API broke",
    );
}

/// A byte now and then resets a silence timeout, but would never complete a body.
#[test]
fn a_trickling_body_is_given_up() {
    let drip = |out: &mut dyn Write| -> std::io::Result<()> {
        loop {
            out.write_all(b" ")?;
            out.flush()?;
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let quick = ["--timeout", "1s"];
    refused("body", Reply::undeclared(200, &[], "{").and_then(drip), &quick, "upstream", "too slowly");
    refused("error page", Reply::undeclared(500, &[], "").and_then(drip), &quick, "upstream", "HTTP 500");
    let token = Api::scripted(move |_| Reply::undeclared(200, &[], "{").and_then(drip));
    refused_by("token", &token.url, &quick, "upstream", "too slowly");
    let began_well = Reply::undeclared(200, &[], r#"{"RESULTCODE":"0000","DATA":["#).and_then(move |out| {
        out.write_all(&vec![b' '; 4 << 20])?;
        drip(out)
    });
    refused("after 4 MiB", began_well, &quick, "upstream", "too slowly");
    let head = Reply::undeclared(200, &[], "").in_its_head(drip);
    refused("head", head, &quick, "upstream", "sent nothing");
}

/// A response that is slow but above the minimum pace is read to its end.
#[test]
fn a_slow_but_steady_response_is_read() {
    let api = Api::new(|request| {
        let text = envelope(&(0..24).map(|_| row(request.date(), &[])).collect::<Vec<_>>());
        Reply::undeclared(200, &[], "").and_then(move |out| {
            text.as_bytes().chunks(512).try_for_each(|piece| {
                out.write_all(piece)?;
                out.flush()?;
                std::thread::sleep(Duration::from_millis(150));
                Ok(())
            })
        })
    });
    let lake = tempfile::tempdir().unwrap();
    let ran = Run::backfill(&api).days(DAY, DAY).into(lake.path()).args(["--timeout", "1s", "--retries", "0"]).ok();
    assert_eq!(ran.result()["rows"], 24);
}

#[test]
fn endless_nesting_strings_and_numbers_are_refused() {
    let deep = |open: &str| open.repeat(100_000);
    let in_row = |value: &str| format!(r#"{{"RESULTCODE":"0000","DATA":[{{"TRXID":"1","X":{value}"#);
    for (name, text) in [
        ("lists in a row", in_row(&deep("["))),
        ("objects in a row", in_row(&deep(r#"{"a":"#))),
        ("lists in the envelope", format!(r#"{{"RESULTCODE":"0000","X":{}"#, deep("["))),
        ("lists as DATA", format!(r#"{{"RESULTCODE":"0000","DATA":{}"#, deep("["))),
    ] {
        refused(name, Reply::json(text), &[], "upstream", "less deep nesting");
    }
    refused("lists alone", Reply::json(deep("[")), &[], "contract", "an array of something other than objects");
    refused("closed lists", Reply::json(format!("{}{}", deep("["), "]".repeat(100_000))), &[], "contract", "something other than");

    let long = |begins: &str| Reply::undeclared(200, &[], begins).and_then(again(100, vec![b'x'; 1 << 20]));
    for (name, begins) in [
        ("a value", r#"{"RESULTCODE":"0000","DATA":[{"TRXID":""#),
        ("a key", r#"{"RESULTCODE":"0000","DATA":[{""#),
        ("an envelope's key", r#"{""#),
        ("a message", r#"{"RESULTMSG":""#),
    ] {
        refused(name, long(begins), &[], "contract", "longer than 4 MiB");
    }
    let digits = "9".repeat(1000);
    let row_with = |field, value: &str| Reply::json(envelope(&[row(DATE, &[(field, value)])]));
    refused("a number of 1,000 digits", row_with("AUTHAMT", &digits), &[], "contract", "more than 16 digits");
    refused("1,000 decimals", row_with("AUTHAMT", &format!("0.{digits}")), &[], "contract", "more than 2 decimals");
    refused("a rate", row_with("FEERATE", &format!("\"{digits}\"")), &[], "contract", "more than 5 digits");
    refused("an exponent", row_with("FEE", &format!("1e{digits}")), &[], "contract", "is not an amount");
    refused("a date", row_with("AUTHDT", &digits), &[], "contract", "is not a date");
    refused("a code", Reply::json(format!(r#"{{"RESULTCODE":{digits}}}"#)), &[], "upstream", "RESULTCODE 999");
    let fields: Vec<String> = (0..100_000).map(|n| format!("\"k{n}\":1")).collect();
    refused("100,000 fields", Reply::json(envelope(&[format!("{{{}}}", fields.join(","))])), &[], "contract", "more unknown fields");
}

#[test]
fn invalid_text_is_refused() {
    let around = |bytes: &[u8]| {
        let mut text = envelope(&[row(DATE, &[("ORDERNO", r#""@""#)])]).into_bytes();
        let at = text.iter().position(|byte| *byte == b'@').unwrap();
        text.splice(at..=at, bytes.iter().copied());
        Reply::json(text)
    };
    for (name, bytes) in [("a byte", &b"\xFF"[..]), ("too long", b"\xC0\xAF"), ("surrogate", b"\xED\xA0\x80"), ("half", b"\xE1\x80")] {
        refused(name, around(bytes), &[], "contract", "field ORDERNO of row 1");
    }
    for (name, text) in [("high", r"\ud800"), ("low", r"\udc00"), ("two high", r"\ud83d\ud83d"), ("high and text", r"\ud83dx")] {
        refused(name, around(text.as_bytes()), &[], "upstream", "surrogate");
    }
    refused("NUL", around(b"\0"), &[], "upstream", "control character");
    refused("a line break", around(b"\n"), &[], "upstream", "control character");
    refused("an escape of no kind", around(br"\x41"), &[], "upstream", "an escape");
    refused("HTML", Reply::new(200, &[("Content-Type", "text/html")], "<html><body>점검 중</body></html>"), &[], "upstream", "not JSON");
    refused("nothing", Reply::json(""), &[], "upstream", "cut short");
    refused("charset of no name", Reply::new(200, &[("Content-Type", "text/json; charset=x-no")], "{}"), &[], "contract", "charset");
    let cp949 = Reply::new(200, &[("Content-Type", "text/json; charset=euc-kr")], b"{\"RESULTCODE\":\"\xFF\xFF\",\"DATA\":[]}");
    refused("a code that is not CP949", cp949, &[], "upstream", "RESULTCODE \u{FFFD}");
    for (name, text, why) in [
        ("a field", envelope(&[row(DATE, &[]).replacen('{', r#"{"FEE":"1","#, 1)]), "FEE of row 1 occurs twice"),
        ("an escaped field", envelope(&[row(DATE, &[]).replacen('{', r#"{"F\u0045E":"1","#, 1)]), "FEE of row 1 occurs twice"),
        ("an unknown field", envelope(&[row(DATE, &[("X", "1")]).replacen('{', r#"{"X":1,"#, 1)]), "X of row 1 occurs twice"),
        ("inside a field", envelope(&[row(DATE, &[("X", r#"{"a":1,"a":2}"#)])]), "has a key that occurs twice"),
        ("DATA", r#"{"RESULTCODE":"0000","DATA":[],"DATA":[]}"#.into(), "DATA occurs twice"),
        ("a blank RESULTCODE", r#"{"RESULTCODE":null,"RESULTCODE":"0000","DATA":[]}"#.into(), "RESULTCODE occurs twice"),
        ("RESULTCODE", r#"{"RESULTCODE":"E008","RESULTCODE":"0000","DATA":[]}"#.into(), "RESULTCODE occurs twice"),
    ] {
        refused(name, Reply::json(text), &[], "contract", why);
    }
    // an escaped NUL is an ordinary character
    let lake = tempfile::tempdir().unwrap();
    let reply = around(br"a\u0000b");
    Run::backfill(&Api::new(move |_| reply.clone())).days(DAY, DAY).into(lake.path()).ok();
    assert_eq!(rows(&day_file(lake.path(), DAY))[0]["order_no"], "a\0b");
}

#[test]
fn endless_envelopes_and_rows_are_refused() {
    let many = |begin: &str, part: &str| Reply::undeclared(200, &[], begin).and_then(again(1000, part.repeat(1000).into_bytes()));
    refused("empty objects", many("[", "{},"), &[], "contract", "no RESULTCODE");
    refused("codes alone", many("[", r#"{"RESULTCODE":"E008"},"#), &[], "contract", "parts without rows");
    refused("empty DATA", many("[", r#"{"RESULTCODE":"0000","DATA":[]},"#), &[], "contract", "parts without rows");
    refused("empty lists", many("[", "[],"), &[], "contract", "something other than objects");
    let rows = Reply::undeclared(200, &[], r#"{"RESULTCODE":"0000","DATA":[{}"#).and_then(|out| {
        again(200, ",{}".repeat(1000).into_bytes())(out)?;
        out.write_all(b"]}")
    });
    refused("empty rows", rows, &[], "contract", "and 200000 more bad rows");
}

/// If rows are long, fewer of them are in memory.
#[test]
fn long_rows_do_not_fill_memory() {
    const ROWS: usize = 60;
    let text = "x".repeat(1 << 20);
    let long = [row(DATE, &[("ORDERNO", &format!("\"{text}\""))]), row(DATE, &[("X", &format!("\"{text}\""))])];
    let two = gzip(format!(",{},{}", long[0], long[1]).as_bytes());
    let begin = gzip(format!(r#"{{"RESULTCODE":"0000","DATA":[{}"#, row(DATE, &[])).as_bytes());
    let body = [begin, two.repeat(ROWS / 2), gzip(b"]}")].concat();
    let api = Api::new(move |_| Reply::json(&body));
    let lake = tempfile::tempdir().unwrap();
    let Measured { ran, peak_mib, took } = measure(command(&api.url, lake.path(), &[]));
    println!("{ROWS} rows of 1 MiB: {peak_mib} MiB, {took:?}");
    assert_eq!(ran.ok().result()["rows"], ROWS + 1);
    assert!(peak_mib < 90, "{peak_mib} MiB");
    let mut verify = Command::new(env!("CARGO_BIN_EXE_cookiepay-etl"));
    verify.arg("verify").arg("--dest").arg(lake.path());
    let Measured { ran, peak_mib, .. } = measure(verify);
    println!("verified: {peak_mib} MiB");
    assert!(peak_mib < 250, "{peak_mib} MiB");
    ran.ok();
}

#[test]
fn secrets_do_not_follow_a_redirect() {
    let elsewhere = Api::responding("{}");
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}/x", elsewhere.url.replace("127.0.0.1", "localhost"));
        let reply = Reply::new(status, &[("Location", &location)], "");
        refused("settlement", reply.clone(), &[], "upstream", "redirect");
        let token = Api::scripted(move |_| reply.clone());
        refused_by("token", &token.url, &[], "upstream", "redirect");
    }
    assert_eq!(elsewhere.requests("/x").len(), 0);
}

#[test]
fn unusable_tokens_are_refused() {
    let long = |bytes: usize| format!(r#"{{"RTN_CD":"0000","TOKEN":"{}"}}"#, "t".repeat(bytes));
    for (name, body, why) in [
        ("1 MB", long(1 << 20), "longer than 64 KiB"),
        ("a line break", r#"{"RTN_CD":"0000","TOKEN":"a\r\nX-Evil: 1"}"#.into(), "no header can carry"),
        ("NUL", r#"{"RTN_CD":"0000","TOKEN":"a\u0000b"}"#.into(), "no header can carry"),
        ("Korean", r#"{"RTN_CD":"0000","TOKEN":"토큰"}"#.into(), "no header can carry"),
        ("blank", r#"{"RTN_CD":"0000","TOKEN":" "}"#.into(), "no TOKEN"),
        ("deep", format!(r#"{{"RTN_CD":"0000","TOKEN":{}"#, "[".repeat(60_000)), "not JSON"),
    ] {
        let api = Api::scripted(move |_| Reply::json(&body));
        refused_by(name, &api.url, &[], "upstream", why);
        assert_eq!(api.settlements().len(), 0, "{name}");
    }
    // within the limit of a response: only the API could refuse it
    let body = long(60_000);
    let api = Api::scripted(move |request| match request.path.as_str() {
        "/payAuth/token" => Reply::json(&body),
        _ => Reply::json(envelope(&[row(request.date(), &[])])),
    });
    let lake = tempfile::tempdir().unwrap();
    Run::backfill(&api).days(DAY, DAY).into(lake.path()).ok();
    assert_eq!(api.settlements()[0].headers["token"].len(), 60_000);
}

#[test]
fn a_retry_after_of_years_is_not_obeyed() {
    for wait in ["31536000", "18446744073709551615", "99999999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        for status in [429, 503] {
            let reply = Reply::new(status, &[("Retry-After", wait)], "");
            refused(wait, reply.clone(), &[], "rate_limit", "run again later");
            let token = Api::scripted(move |_| reply.clone());
            refused_by(wait, &token.url, &[], "rate_limit", "run again later");
        }
    }
    // a value that is not a wait is ignored
    for wait in ["-1", "soon", "1.5", "", "Fri, 31 Dec 1999 23:59:59 GMT", "\u{FF11}"] {
        refused(wait, Reply::new(503, &[("Retry-After", wait)], ""), &[], "upstream", "HTTP 503");
    }
}

mod tls {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::pki_types::PrivateKeyDer;

    /// A certificate authority, and a server's configuration with a certificate that it issued.
    pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

    impl Authority {
        pub(super) fn new() -> Self {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
        }

        pub(super) fn pem(&self) -> String {
            self.0.pem()
        }

        /// A server with a certificate for `name`, which may have `expired`.
        pub(super) fn server(&self, name: &str, expired: bool) -> rustls::ServerConfig {
            let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            if expired {
                params.not_before = rcgen::date_time_ymd(2020, 1, 1);
                params.not_after = rcgen::date_time_ymd(2021, 1, 1);
            }
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &self.0).unwrap();
            let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
            builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap()
        }
    }
}

fn one_row(request: &Request) -> Reply {
    match request.path.as_str() {
        "/payAuth/token" => Reply::json(r#"{"RTN_CD":"0000","TOKEN":"t0ken-over-TLS"}"#),
        _ => Reply::json(envelope(&[row(request.date(), &[])])),
    }
}

/// Runs a day over TLS that trusts one authority.
fn over_tls(url: &str, trusted: &str, more: &[&str]) -> (Ran, Vec<String>) {
    let root = tempfile::tempdir().unwrap();
    let pem = root.path().join("ca.pem");
    std::fs::write(&pem, trusted).unwrap();
    let lake = root.path().join("lake");
    let mut command = command(url, &lake, more);
    command.env("SSL_CERT_FILE", &pem).env_remove("SSL_CERT_DIR");
    (measure(command).ran, files(&lake))
}

#[test]
fn an_untrusted_server_receives_no_request() {
    let (ours, other) = (tls::Authority::new(), tls::Authority::new());
    let right = Api::over_tls(ours.server("localhost", false), one_row);
    let (ran, lake) = over_tls(&right.url, &ours.pem(), &["-vvv"]);
    ran.ok();
    assert_eq!(lake.len(), 1, "{lake:?}");
    for (name, config) in [
        ("another host", ours.server("www.cookiepayments.com", false)),
        ("an unknown authority", other.server("localhost", false)),
        ("of the past", ours.server("localhost", true)),
    ] {
        let api = Api::over_tls(config, one_row);
        let (ran, lake) = over_tls(&api.url, &ours.pem(), &[]);
        let message = ran.failure("upstream");
        assert!(message.contains("certificate"), "{name}: {message}");
        assert!(api.tokens() == 0 && api.settlements().is_empty() && lake.is_empty(), "{name}: {lake:?}");
    }
    // the hello of a server that supports nothing newer than TLS 1.1
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let mut hello = vec![0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
            hello.extend([7; 32]);
            hello.extend([0, 0xC0, 0x13, 0]);
            let _ = stream.write_all(&hello);
            let _ = stream.read(&mut [0; 4096]);
        }
    });
    let (ran, lake) = over_tls(&url, &ours.pem(), &[]);
    let message = ran.failure("upstream");
    assert!(message.contains("could not connect") && lake.is_empty(), "{message}");
}

/// The key and the token, with the traces of the HTTP and TLS libraries, and with an API that repeats them at places
/// where they might be cut in two or quoted.
#[test]
fn no_trace_and_no_message_shows_a_secret() {
    const TOKEN: &str = "t0ken-over-TLS-0123456789-abcdefghij";
    let authority = tls::Authority::new();
    let api = Api::over_tls(authority.server("localhost", false), |request| {
        let date = request.date().to_owned();
        match date.as_str() {
            "" => Reply::json(format!(r#"{{"RTN_CD":"0000","TOKEN":"{TOKEN}","ECHO":"{KEY}"}}"#)),
            "20240101" => Reply::json(envelope(&[row(&date, &[("FEE", &format!("\"{TOKEN}\""))])])),
            "20240102" => Reply::json(envelope(&[row(&date, &[("AUTHDT", &format!("\"{}{KEY}\"", "x".repeat(70)))])])),
            "20240103" => Reply::json(format!(r#"{{"RESULTCODE":"0000","DATA":[{}],"{}{TOKEN}":1}}"#, row(&date, &[]), "x".repeat(20))),
            "20240104" => Reply::json(envelope(&[row(&date, &[]).replacen('{', &format!(r#"{{"{KEY}":1,"{KEY}":2,"#), 1)])),
            "20240105" => Reply::new(200, &[("Content-Type", &format!("text/json; charset={TOKEN}"))], "{}"),
            "20240106" => Reply::new(200, &[("Content-Encoding", KEY)], "{}"),
            "20240107" => Reply::new(500, &[("X-Echo", TOKEN), ("Set-Cookie", KEY)], format!("{}{TOKEN}{KEY}", "x".repeat(150))),
            "20240108" => Reply::new(302, &[("Location", &format!("https://localhost/{TOKEN}?{KEY}"))], ""),
            "20240109" => Reply::json(format!("{}{TOKEN}", " ".repeat(3))),
            _ => Reply::json(envelope(&[row(&date, &[])])),
        }
    });
    for (level, format) in [("-q", "text"), ("-vvv", "text"), ("-vvv", "json")] {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("ca.pem"), authority.pem()).unwrap();
        let lake = path("lake");
        let mut command = binary();
        command.args(["backfill", "--api-id", "m1", "--from", "2024-01-01", "--to", "2024-01-12", "--rate-limit", "0", "--retries", "1"]);
        command.args(["--keep-raw", level, "--log-format", format, "--base-url", &api.url, "--dest", &lake]);
        command.args(["--result-file", &path("result.json"), "--metrics-file", &path("run.prom")]);
        command.env("COOKIEPAY_API_KEY", KEY).env("SSL_CERT_FILE", path("ca.pem"));
        command.env("OPENLINEAGE_URL", "http://127.0.0.1:1");
        let ran = finish(&mut command).exits(3);
        let mut seen = vec![("output".to_owned(), format!("{}{}", ran.stdout, ran.stderr).into_bytes())];
        for file in files(root.path()) {
            let bytes = std::fs::read(root.path().join(&file)).unwrap();
            seen.push((file, bytes));
        }
        for (name, bytes) in &seen {
            let text = String::from_utf8_lossy(bytes);
            // half of a secret must not be printed either
            for secret in [&KEY[..12], &TOKEN[..14]] {
                if let Some(at) = text.find(secret) {
                    panic!("{secret} in {name} with {level}: …{}", &text[text.floor_char_boundary(at.saturating_sub(300))..at]);
                }
            }
        }
    }
}

/// What other users of the machine can see of a run: its arguments, its limits, its files, the key's file.
#[test]
fn other_users_of_the_machine_see_no_secret() {
    use std::os::unix::fs::PermissionsExt;
    let api = Api::new(|request| {
        std::thread::sleep(Duration::from_millis(700));
        one_row(request)
    });
    let root = tempfile::tempdir().unwrap();
    let (key, lake) = (root.path().join("key"), root.path().join("lake"));
    std::fs::write(&key, KEY).unwrap();
    let set = |mode| std::fs::set_permissions(&key, PermissionsExt::from_mode(mode)).unwrap();
    for (mode, warned) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o644, true)] {
        set(mode);
        let mut command = command(&api.url, &lake, &["--refetch", "all", "--keep-raw"]);
        command.env_remove("COOKIEPAY_API_KEY").env("COOKIEPAY_API_KEY_FILE", &key);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(400));
        let proc_file = |name: &str| String::from_utf8_lossy(&std::fs::read(format!("/proc/{}/{name}", child.id())).unwrap()).into_owned();
        let (arguments, limits) = (proc_file("cmdline"), proc_file("limits"));
        let ran: Ran = child.wait_with_output().unwrap().into();
        let ran = ran.ok();
        assert!(arguments.contains("backfill") && !arguments.contains(KEY), "{arguments}");
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
        assert_eq!(ran.stderr.contains("other users can read the key file"), warned, "{mode:o}: {ran:?}");
        assert!(!ran.stderr.contains(KEY));
    }
    for file in files(&lake) {
        let mode = std::fs::metadata(lake.join(&file)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o133, 0, "{file}: {mode:o}");
    }
}

#[test]
fn ids_of_any_kind_name_files_inside_the_lake() {
    let api = Api::one_row();
    for id in [
        "a/b",
        "..",
        "../../x",
        "/etc/passwd",
        "a\\b",
        "q'\"`$(id)",
        "정산가맹점",
        "🍪",
        ".hidden",
        "_x",
        "a%2Fb",
        "%",
        "a b",
        "a\nb",
        "m=1",
        "-",
    ] {
        let root = tempfile::tempdir().unwrap();
        let lake = root.path().join("in/lake");
        let mut command = binary();
        command.args([
            "backfill",
            "--base-url",
            &api.url,
            &format!("--api-id={id}"),
            "--from",
            DAY,
            "--to",
            DAY,
            "--rate-limit",
            "0",
            "--dest",
        ]);
        finish(command.arg(&lake).env("COOKIEPAY_API_KEY", KEY)).ok();
        let everywhere = files(root.path());
        assert_eq!(everywhere.len(), 1, "{id}: {everywhere:?}");
        assert!(everywhere[0].starts_with("in/lake/settlements/pay_date=2024-01-05/"), "{id}: {everywhere:?}");
        assert_eq!(record(&root.path().join(&everywhere[0]))["merchant_id"], id);
        assert_eq!(rows(&root.path().join(&everywhere[0]))[0]["merchant_id"], id);
        let mut status = binary();
        let shown = finish(status.args(["status", "--output", "json", "--dest"]).arg(&lake)).ok();
        assert_eq!(shown.result()["days"][0]["merchant_id"], id);
        let mut verify = binary();
        finish(verify.args(["verify", "--dest"]).arg(&lake)).ok();
    }
    let requests = api.settlements().len();
    for id in ["a".repeat(200), "가".repeat(20), "/".repeat(41)] {
        let mut command = binary();
        command.args(["backfill", "--base-url", &api.url, "--api-id", &id, "--from", DAY, "--to", DAY, "--dest", "/nowhere/x"]);
        finish(command.env("COOKIEPAY_API_KEY", KEY)).exits(2);
    }
    assert_eq!(api.settlements().len(), requests);
}

#[test]
fn destinations_and_days_of_any_kind() {
    let api = Api::new(|request| Reply::json(envelope(&[row(request.date(), &[("AUTHDT", "null")])])));
    let root = tempfile::tempdir().unwrap();
    for folder in
        ["with space", "정산 🍪", "100%41", "a#b?c", "it's \"quoted\"", "back\\slash", "line\nbreak", "settlements/pay_date=2024-01-01"]
    {
        let lake = root.path().join(folder);
        Run::backfill(&api).days(DAY, DAY).into(&lake).ok();
        assert_eq!(rows(&day_file(&lake, DAY)).len(), 1, "{folder}");
        let ran = Run::backfill(&api).days(DAY, DAY).into(&lake).ok();
        assert_eq!(ran.result()["dates"]["skipped"], 1, "{folder}");
    }
    let lake = root.path().join("days");
    for day in ["0001-01-01", "0001-12-31", "1900-02-28", "2000-02-29", "2024-02-29", "9999-12-31"] {
        // Seoul's midnight counts, whatever the machine's time zone is
        for zone in ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"] {
            Run::backfill(&api).days(day, day).into(&lake).env("TZ", zone).args(["--refetch", "all"]).ok();
        }
        let written = record(&day_file(&lake, day));
        assert_eq!(
            (written["pay_date"].as_str(), written["state"].as_str()),
            (Some(day), Some(if day.starts_with('9') { "open" } else { "closed" }))
        );
        assert_eq!(rows(&day_file(&lake, day))[0]["payoff_date"], day);
    }
    assert_eq!(files(&lake).len(), 6, "{:?}", files(&lake));
    for none in ["1900-02-29", "2023-02-29", "0000-01-01", "10000-01-01", "2024-00-01", "2024-01-32", "２０２４-01-01", "-001-01-01"] {
        Run::backfill(&api).days(none, none).into(&lake).exits(2);
    }
}

#[test]
fn ranges_of_centuries_take_no_memory() {
    let (api, root) = (Api::new(one_row), tempfile::tempdir().unwrap());
    let lake = root.path().join("lake");
    Run::backfill(&api).days(DAY, "2024-01-07").into(&lake).ok();
    let of = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cookiepay-etl"));
        command.args(arguments).args(["--from", "1500-01-01", "--to", "2499-12-31", "--output", "json", "--dest"]).arg(&lake);
        command.env("COOKIEPAY_API_KEY", KEY).stdout(Stdio::piped());
        command
    };
    let asks = ["--base-url", &api.url, "--api-id", "m1"];
    let dry_run = [&["backfill", "--dry-run"], &asks[..]].concat();
    for (arguments, code) in [(&dry_run[..], 0), (&["rebuild", "--dry-run"], 0), (&["status"], 0), (&["verify"], 5)] {
        let Measured { ran, peak_mib, took } = measure(of(arguments));
        let stdout = ran.exits(code).stdout;
        println!("{arguments:?}: {peak_mib} MiB, {took:?}");
        let days = 365_243 - if arguments == ["verify"] { 3 } else { 0 };
        assert_eq!(stdout.matches("\"pay_date\":").count(), days, "{arguments:?}");
        assert!(peak_mib < MEMORY_MIB / 2 && took < TIME, "{arguments:?}: {peak_mib} MiB, {took:?}");
    }
    // a run that is stopped does not list the days that it did not reach
    let mut child = of(&[&["backfill", "--rate-limit", "50"], &asks[..]].concat()).stderr(Stdio::null()).spawn().unwrap();
    while api.settlements().len() < 10 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let began = Instant::now();
    child.wait().unwrap();
    let took = began.elapsed();
    let ran = Ran::from(child.wait_with_output().unwrap()).exits(143);
    assert!(took < Duration::from_secs(5), "{took:?}");
    let dates = &ran.result()["dates"];
    assert_eq!((&dates["planned"], &dates["skipped"]), (&365_243.into(), &3.into()));
}

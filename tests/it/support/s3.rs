//! A small S3 server whose faults a test scripts, for what no real server can be made to show. The conformance suite runs
//! against a real one.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::Run;

/// A request as it was received.
#[derive(Debug)]
pub struct S3Request {
    pub method: String,
    /// The key, decoded; empty for the bucket.
    pub key: String,
    pub query: HashMap<String, String>,
    pub headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl S3Request {
    /// Whether the write depends on what is stored.
    pub fn is_conditional(&self) -> bool {
        self.headers.contains_key("if-none-match") || self.headers.contains_key("if-match")
    }
}

/// What is sent back.
pub struct S3Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl S3Reply {
    /// An error as S3 words it.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body =
            format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>{message}</Message><RequestId>1</RequestId></Error>");
        Self { status, headers: Vec::new(), body: body.into_bytes() }
    }

    fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into() }
    }
}

type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;
type Fault = dyn Fn(&S3Request) -> Option<S3Reply> + Send + Sync;

/// A server with one bucket, `b`.
pub struct S3 {
    url: String,
    pub objects: Objects,
}

impl S3 {
    /// Serves until the test ends; `fault` may reply in place of the server.
    pub fn new(fault: impl Fn(&S3Request) -> Option<S3Reply> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let objects = Objects::default();
        let (stored, fault): (_, Arc<Fault>) = (Arc::clone(&objects), Arc::new(fault));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (stored, fault) = (Arc::clone(&stored), Arc::clone(&fault));
                std::thread::spawn(move || serve(&stream, &stored, &*fault));
            }
        });
        Self { url, objects }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A run whose lake is `s3://b/lake` here.
    pub fn lake(&self, run: Run) -> Run {
        let clean = ["AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"].map(|name| (name, ""));
        let server = [
            ("AWS_ENDPOINT_URL", self.url.as_str()),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
        ];
        run.envs(clean).envs(server).args(["--dest", "s3://b/lake"])
    }

    /// The keys below the lake, apart from the ledger indexes.
    pub fn keys(&self) -> Vec<String> {
        let objects = self.objects.lock().unwrap();
        objects.keys().map(|key| key.trim_start_matches("lake/").to_owned()).filter(|key| !key.starts_with("ledger/")).collect()
    }
}

fn serve(stream: &TcpStream, objects: &Objects, fault: &Fault) {
    let mut reader = BufReader::new(stream);
    let Some(request) = read(&mut reader) else { return };
    let S3Reply { status, headers, body } = fault(&request).unwrap_or_else(|| respond(&request, &mut objects.lock().unwrap()));
    let length = headers.iter().find(|(name, _)| *name == "Content-Length").map_or(body.len().to_string(), |(_, length)| length.clone());
    let mut head = format!("HTTP/1.1 {status} Status\r\nConnection: close\r\nContent-Length: {length}\r\n");
    for (name, value) in headers.iter().filter(|(name, _)| *name != "Content-Length") {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head += "\r\n";
    let mut stream = stream;
    let _ = stream.write_all(head.as_bytes()).and_then(|()| if request.method == "HEAD" { Ok(()) } else { stream.write_all(&body) });
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<S3Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let query = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    });
    let key = decode(path.trim_start_matches("/b").trim_start_matches('/'));
    Some(S3Request { method, key, query: query.collect(), headers, body })
}

/// As servers form it: any text that changes with the content.
fn etag(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    format!("\"{}\"", cookiepay_etl::settlement::columns::hex(&Sha256::digest(bytes)[..16]))
}

fn respond(request: &S3Request, objects: &mut BTreeMap<String, Vec<u8>>) -> S3Reply {
    let stored = objects.get(&request.key).cloned();
    match (request.method.as_str(), request.key.as_str()) {
        ("GET", "") => list(request, objects),
        ("POST", "") => {
            let text = String::from_utf8_lossy(&request.body).into_owned();
            let mut reply = String::from("<DeleteResult>");
            for key in text.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next()) {
                objects.remove(key);
                let _ = write!(reply, "<Deleted><Key>{key}</Key></Deleted>");
            }
            S3Reply::ok(reply + "</DeleteResult>")
        }
        ("GET" | "HEAD", _) => match stored {
            Some(bytes) => get(request, bytes),
            None => S3Reply::error(404, "NoSuchKey", "The specified key does not exist."),
        },
        ("PUT", key) => {
            let held = stored.as_deref().map(etag);
            let refused = match (request.headers.get("if-none-match"), request.headers.get("if-match")) {
                (Some(_), _) => held.is_some(),
                (_, Some(expected)) => held.as_ref() != Some(expected),
                _ => false,
            };
            if refused {
                return S3Reply::error(412, "PreconditionFailed", "At least one of the preconditions did not hold.");
            }
            objects.insert(key.to_owned(), request.body.clone());
            S3Reply { headers: vec![("ETag", etag(&request.body))], ..S3Reply::ok("") }
        }
        ("DELETE", key) => {
            objects.remove(key);
            S3Reply { status: 204, ..S3Reply::ok("") }
        }
        _ => S3Reply::error(501, "NotImplemented", "not scripted"),
    }
}

fn get(request: &S3Request, bytes: Vec<u8>) -> S3Reply {
    let total = bytes.len();
    let mut headers = vec![("ETag", etag(&bytes)), ("Last-Modified", "Fri, 05 Jan 2024 00:00:00 GMT".to_owned())];
    let Some((from, to)) = request.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
        if request.method == "HEAD" {
            headers.push(("Content-Length", total.to_string()));
        }
        return S3Reply { headers, ..S3Reply::ok(bytes) };
    };
    let (from, to) = match (from.parse::<usize>(), to.parse::<usize>()) {
        (Err(_), Ok(last)) => (total.saturating_sub(last), total),
        (Ok(from), Ok(to)) => (from, (to + 1).min(total)),
        (Ok(from), Err(_)) => (from, total),
        _ => (0, total),
    };
    if from >= total {
        return S3Reply::error(416, "InvalidRange", "The requested range is not satisfiable");
    }
    headers.push(("Content-Range", format!("bytes {from}-{}/{total}", to - 1)));
    S3Reply { status: 206, headers, body: bytes[from..to].to_vec() }
}

const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

fn list(request: &S3Request, objects: &BTreeMap<String, Vec<u8>>) -> S3Reply {
    const PAGE: usize = 1000;
    let prefix = request.query.get("prefix").cloned().unwrap_or_default();
    let after = request.query.get("continuation-token").cloned().unwrap_or_default();
    let mut found = objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after);
    let page: Vec<(&String, &Vec<u8>)> = found.by_ref().take(PAGE).collect();
    let mut xml = String::from("<?xml version=\"1.0\"?><ListBucketResult><Name>b</Name>");
    for (key, bytes) in &page {
        let key = if request.query.contains_key("encoding-type") { utf8_percent_encode(key, KEPT).to_string() } else { (*key).clone() };
        let etag = etag(bytes).replace('"', "&quot;");
        let _ = write!(
            xml,
            "<Contents><Key>{key}</Key><LastModified>2024-01-05T00:00:00.000Z</LastModified><ETag>{etag}</ETag><Size>{}</Size></Contents>",
            bytes.len()
        );
    }
    match (found.next(), page.last()) {
        (Some(_), Some((last, _))) => {
            let _ = write!(xml, "<IsTruncated>true</IsTruncated><NextContinuationToken>{last}</NextContinuationToken>");
        }
        _ => xml += "<IsTruncated>false</IsTruncated>",
    }
    S3Reply::ok(xml + "</ListBucketResult>")
}

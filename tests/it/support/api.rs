//! An API that responds as the test scripts it, byte by byte.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value as Json;

/// A request as it was received.
#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Json,
    /// When it was received.
    pub at: std::time::Instant,
    /// How many requests for the same path and date were received before.
    pub earlier: usize,
}

impl Request {
    /// The requested pay date, `YYYYMMDD`.
    pub fn date(&self) -> &str {
        self.body["DATE"].as_str().unwrap_or_default()
    }
}

/// What is sent back.
#[derive(Clone)]
pub struct Reply {
    head: String,
    body: Vec<u8>,
    then: Then,
}

/// Keeps writing to the client for as long as it reads.
type WriteOn = Arc<dyn Fn(&mut dyn Write) -> std::io::Result<()> + Send + Sync>;

#[derive(Clone)]
enum Then {
    Close,
    Stall,
    Write(WriteOn),
    Head(WriteOn),
}

impl Reply {
    /// JSON under 200.
    pub fn json(body: impl AsRef<[u8]>) -> Self {
        Self::new(200, &[("Content-Type", "application/json; charset=utf-8")], body)
    }

    /// A response with a status and headers; its length is declared and right.
    pub fn new(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let mut reply = Self::undeclared(status, headers, body);
        reply.head += &["Content-Length: ", &reply.body.len().to_string(), "\r\n"].concat();
        reply
    }

    /// The same without a declared length: it ends with the connection.
    pub fn undeclared(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let mut head = format!("HTTP/1.1 {status} Status\r\nConnection: close\r\n");
        for (name, value) in headers {
            head += &[name, ": ", value, "\r\n"].concat();
        }
        Self { head, body: body.as_ref().to_vec(), then: Then::Close }
    }

    /// The same, with more declared than is sent.
    pub fn cut(self, missing: usize) -> Self {
        let declared = self.body.len() + missing;
        let head = self.head.replace(&format!("Content-Length: {}", self.body.len()), &format!("Content-Length: {declared}"));
        Self { head, ..self }
    }

    /// The same, with more written after it, piece by piece.
    pub fn and_then(self, write: impl Fn(&mut dyn Write) -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        Self { then: Then::Write(Arc::new(write)), ..self }
    }

    /// The same, with headers written on and on before it.
    pub fn in_its_head(self, write: impl Fn(&mut dyn Write) -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        // a header that has no end yet
        let head = self.head + "X-Long: ";
        Self { head, then: Then::Head(Arc::new(write)), ..self }
    }

    /// The same, with the connection held open and silent after it.
    pub fn stalled(self) -> Self {
        Self { then: Then::Stall, ..self.cut(1000) }
    }
}

/// The server; it lives as long as the test process.
pub struct Api {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Api {
    /// An API that issues tokens and whose settlements are those of `settle`.
    pub fn new(settle: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let issued = Mutex::new(0);
        Self::scripted(move |request| {
            if request.path != "/payAuth/token" {
                return settle(request);
            }
            let mut issued = issued.lock().unwrap();
            *issued += 1;
            Reply::json(format!(r#"{{"RTN_CD":"0000","RTN_MSG":"ok","TOKEN":"t0ken-{issued}-Secret"}}"#))
        })
    }

    /// An API that responds to everything, including token requests, as scripted.
    pub fn scripted(respond: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let (port, requests) = listen(Some, respond);
        Self { url: format!("http://127.0.0.1:{port}"), requests }
    }

    /// The same over TLS, as `localhost`.
    pub fn over_tls(config: rustls::ServerConfig, respond: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let config = Arc::new(config);
        let accept = move |stream| Some(rustls::StreamOwned::new(rustls::ServerConnection::new(Arc::clone(&config)).ok()?, stream));
        let (port, requests) = listen(accept, respond);
        Self { url: format!("https://localhost:{port}"), requests }
    }

    /// An API with the same settlement response for every date.
    pub fn responding(body: impl AsRef<[u8]>) -> Self {
        let reply = Reply::json(body);
        Self::new(move |_| reply.clone())
    }

    /// An API with one paid row for every pay date.
    pub fn one_row() -> Self {
        Self::new(one_row)
    }

    /// An API that responds with one body after another, and then with the last one.
    pub fn in_turn(bodies: Vec<String>) -> Self {
        let turn = AtomicUsize::new(0);
        Self::new(move |_| Reply::json(&bodies[turn.fetch_add(1, Ordering::SeqCst).min(bodies.len() - 1)]))
    }

    /// An API that nobody serves.
    pub fn nowhere() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { url: format!("http://{address}"), requests: Arc::default() }
    }

    /// The requests so far to a path.
    pub fn requests(&self, path: &str) -> Vec<Request> {
        self.requests.lock().unwrap().iter().filter(|request| request.path == path).cloned().collect()
    }

    pub fn settlements(&self) -> Vec<Request> {
        self.requests("/api/settlement")
    }

    pub fn tokens(&self) -> usize {
        self.requests("/payAuth/token").len()
    }
}

type Requests = Arc<Mutex<Vec<Request>>>;

fn listen<S: Read + Write>(
    accept: impl Fn(TcpStream) -> Option<S> + Send + Sync + 'static,
    respond: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> (u16, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Requests::default();
    let (shared, seen) = (Arc::new((accept, respond)), Arc::clone(&requests));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (shared, seen) = (Arc::clone(&shared), Arc::clone(&seen));
            std::thread::spawn(move || {
                if let Some(stream) = (shared.0)(stream) {
                    serve(stream, &shared.1, &seen);
                }
            });
        }
    });
    (port, requests)
}

fn serve(stream: impl Read + Write, respond: &dyn Fn(&Request) -> Reply, seen: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).is_err() {
            return;
        }
        match line.trim().split_once(':') {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let mut request = Request { path, headers, body, at: std::time::Instant::now(), earlier: 0 };
    {
        let mut seen = seen.lock().unwrap();
        request.earlier = seen.iter().filter(|earlier| earlier.path == request.path && earlier.date() == request.date()).count();
        seen.push(request.clone());
    }
    let reply = respond(&request);
    let stream = reader.get_mut();
    if let Then::Head(write) = reply.then {
        let _ = stream.write_all(reply.head.as_bytes()).and_then(|()| write(stream));
        return;
    }
    let _ = stream.write_all(format!("{}\r\n", reply.head).as_bytes());
    let _ = stream.write_all(&reply.body);
    let _ = stream.flush();
    match reply.then {
        Then::Close | Then::Head(_) => {}
        Then::Stall => std::thread::sleep(Duration::from_mins(1)),
        // the client may have closed the connection
        Then::Write(write) => drop(write(stream)),
    }
}

/// A paid row of a pay date (`YYYYMMDD`), as the manual has it, with some fields replaced. A
/// replacement's value is JSON text; an empty one takes the field away.
pub fn row(date: &str, replaced: &[(&str, &str)]) -> String {
    let payoff = format!("\"{date}\"");
    let mut fields: Vec<(&str, &str)> = vec![
        ("AUTHAMT", r#""10000""#),
        ("FEERATE", r#""2.30""#),
        ("PAYMENTSTATUS", r#""11""#),
        ("FEE", r#""230""#),
        ("VAT", r#""23""#),
        ("SETTLE_CYCLE_CD", r#""D2""#),
        ("PAYTYPE", r#""CARD""#),
        ("ACQUIRER", r#""CCLG""#),
        ("PAYMENTAMT", r#""9747""#),
        ("TRXID", r#""CTS24010300000000001""#),
        ("CPID", r#""CP0001""#),
        ("ORDERNO", r#""ORD-1""#),
        ("AUTHDT", r#""20240103""#),
        ("FINALAMT", r#""9747""#),
        ("PAYOFFDT", &payoff),
        ("STATUS_CD", r#""03""#),
    ];
    for (name, value) in replaced {
        match fields.iter_mut().find(|(field, _)| field == name) {
            Some(field) => field.1 = value,
            None => fields.push((name, value)),
        }
    }
    let members: Vec<String> =
        fields.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

/// A response with one paid row of the requested pay date.
pub fn one_row(request: &Request) -> Reply {
    Reply::json(envelope(&[row(request.date(), &[])]))
}

/// A successful response with these rows.
pub fn envelope(rows: &[String]) -> String {
    format!(r#"{{"RESULTCODE":"0000","RESULTMSG":"정상","DATA":[{}]}}"#, rows.join(","))
}

//! The simulated API as a client sees it: over HTTP, with refusals, faults and counts.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::support::loopback_client;
use chrono::NaiveDate;
use cookiepay_etl::simulator::{Options, Simulator, SimulatorArgs};
use futures::StreamExt;
use reqwest::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const TODAY: &str = "2024-06-03";
const FRIDAY: &str = "20240105";
const SATURDAY: &str = "20240106";

/// A simulator and a client of it.
struct Stage {
    simulator: Simulator,
    client: Client,
}

impl Stage {
    async fn new(args: SimulatorArgs) -> Self {
        let args = SimulatorArgs { sim_today: Some(TODAY.into()), ..args };
        let simulator = Simulator::start(Options::try_from(&args).unwrap(), LOOPBACK).await.unwrap();
        Self { simulator, client: loopback_client() }
    }

    async fn with_faults(faults: &[&str]) -> Self {
        Self::new(SimulatorArgs { sim_fault: faults.iter().map(ToString::to_string).collect(), ..Default::default() }).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.simulator.base_url())
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        let request = self.client.post(self.url(path)).header(CONTENT_TYPE, "application/json; charset=utf-8");
        request.body(body.to_string())
    }

    async fn request_token(&self, id: &str, key: &str) -> Response {
        self.post("/payAuth/token", &json!({"pay2_id": id, "pay2_key": key})).send().await.unwrap()
    }

    async fn token(&self) -> String {
        let (id, key) = self.simulator.credentials();
        let response_body = body(self.request_token(id, key).await).await;
        assert_eq!(response_body["RTN_CD"], "0000", "{response_body}");
        response_body["TOKEN"].as_str().unwrap().to_owned()
    }

    fn settlement(&self, token: &str, body: &Value) -> RequestBuilder {
        self.post("/api/settlement", body).header("TOKEN", token)
    }

    /// Requests a pay date as the first merchant.
    fn day(&self, token: &str, date: &str) -> RequestBuilder {
        self.settlement(token, &json!({"API_ID": self.simulator.credentials().0, "DATE": date}))
    }

    async fn request_day(&self, token: &str, date: &str) -> Response {
        self.day(token, date).send().await.unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }
}

async fn body(response: Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

fn rows(response_body: &Value) -> &Vec<Value> {
    assert_eq!(response_body["RESULTCODE"], "0000", "{response_body}");
    response_body["DATA"].as_array().unwrap()
}

#[tokio::test]
async fn a_token_opens_a_day_of_sixteen_text_fields() {
    let stage = Stage::new(SimulatorArgs::default()).await;
    assert!(stage.simulator.base_url().starts_with("http://127.0.0.1:"));
    let token = stage.token().await;
    let response = stage.request_day(&token, FRIDAY).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json; charset=utf-8");
    let response_body = body(response).await;
    assert_eq!(response_body["RESULTMSG"], "정상");
    for row in rows(&response_body) {
        let row = row.as_object().unwrap();
        assert_eq!(row.len(), 16, "{row:?}");
        assert!(row.values().all(Value::is_string), "{row:?}");
        assert_eq!((&row["PAYOFFDT"], &row["STATUS_CD"]), (&json!(FRIDAY), &json!("03")));
    }

    let empty = body(stage.request_day(&token, SATURDAY).await).await;
    assert_eq!(empty, json!({"RESULTCODE": "E008", "RESULTMSG": "검색 결과가 없습니다"}));
}

#[tokio::test]
async fn one_transaction_can_be_requested() {
    let stage = Stage::new(SimulatorArgs::default()).await;
    let token = stage.token().await;
    let all = body(stage.request_day(&token, FRIDAY).await).await;
    let wanted = &rows(&all)[3];
    let one = json!({"API_ID": "simulator", "DATE": FRIDAY, "TID": wanted["TRXID"]});
    assert_eq!(rows(&body(stage.settlement(&token, &one).send().await.unwrap()).await), std::slice::from_ref(wanted));
    let blank = json!({"API_ID": "simulator", "DATE": FRIDAY, "TID": ""});
    assert_eq!(body(stage.settlement(&token, &blank).send().await.unwrap()).await, all);
    let unknown = json!({"API_ID": "simulator", "DATE": FRIDAY, "TID": "CTS00000000000000000"});
    assert_eq!(body(stage.settlement(&token, &unknown).send().await.unwrap()).await["RESULTCODE"], "E008");
}

#[tokio::test]
async fn token_requests_are_refused_as_the_api_does() {
    let stage = Stage::new(SimulatorArgs { sim_merchant: vec!["m1=k1".into(), "m2=k2".into()], ..Default::default() }).await;
    assert_eq!(stage.simulator.credentials(), ("m1", "k1"));
    for (id, key, code) in [
        ("m1", "k1", "0000"),
        ("m2", "k2", "0000"),
        ("m1", "k2", "E101"),
        ("simulator", "simulator-key", "E101"),
        ("m1", "", "E002"),
        (&"m".repeat(31), "k1", "E002"),
        ("m1", &"k".repeat(51), "E002"),
    ] {
        let response = stage.request_token(id, key).await;
        assert_eq!(response.status(), StatusCode::OK);
        let response_body = body(response).await;
        assert_eq!((&response_body["RTN_CD"], response_body["TOKEN"].is_string()), (&json!(code), code == "0000"), "{id} {key}");
    }
    let good = json!({"pay2_id": "m1", "pay2_key": "k1"}).to_string();
    for (content_type, text) in [("text/plain", good.as_str()), ("application/json", "[]"), ("application/json", "{\"pay2_id\":")] {
        let request = stage.client.post(stage.url("/payAuth/token")).header(CONTENT_TYPE, content_type);
        let response_body = body(request.body(text.to_owned()).send().await.unwrap()).await;
        assert_eq!(response_body["RTN_CD"], "E001", "{content_type} {text}");
    }
}

#[tokio::test]
async fn settlement_requests_are_refused_as_the_api_does() {
    let stage = Stage::new(SimulatorArgs { sim_merchant: vec!["m1=k1".into(), "m2=k2".into()], ..Default::default() }).await;
    let token = stage.token().await;
    for (token, status) in [("", 401), ("unknown", 401), (token.as_str(), 200)] {
        let response = stage.request_day(token, FRIDAY).await;
        assert_eq!(response.status(), status);
        assert_eq!(body(response).await["RESULTCODE"], if status == 401 { "E401" } else { "0000" });
    }
    let unsigned = stage.post("/api/settlement", &json!({"API_ID": "m1", "DATE": FRIDAY, "pay2_key": "k1"}));
    assert_eq!(unsigned.send().await.unwrap().status(), 401);
    for (request, code) in [
        (json!({"API_ID": "m2", "DATE": FRIDAY}), "E102"),
        (json!({"DATE": FRIDAY}), "E002"),
        (json!({"API_ID": "m1"}), "E003"),
        (json!({"API_ID": "m1", "DATE": "2024-01-05"}), "E003"),
        (json!({"API_ID": "m1", "DATE": "20240230"}), "E003"),
        (json!({"API_ID": "m1", "DATE": 20_240_105}), "E003"),
        (json!({"API_ID": "m1", "DATE": FRIDAY, "TID": 7}), "E002"),
        (json!({"API_ID": "m1", "DATE": FRIDAY, "pay2_key": "k1"}), "E001"),
        (json!([]), "E001"),
    ] {
        let response = stage.settlement(&token, &request).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{request}");
        let response_body = body(response).await;
        assert_eq!((&response_body["RESULTCODE"], response_body.get("DATA")), (&json!(code), None), "{request}");
    }
}

#[tokio::test]
async fn only_the_two_paths_and_post_are_served() {
    let stage = Stage::new(SimulatorArgs::default()).await;
    for path in ["/payAuth/token", "/api/settlement"] {
        let response = stage.get(path).await;
        assert_eq!((response.status(), &response.headers()[ALLOW]), (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap()));
    }
    for path in ["/api/settlement/", "/", "/payauth/token", "/_simulator"] {
        assert_eq!(stage.post(path, &json!({})).send().await.unwrap().status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn tokens_expire_and_a_newer_one_leaves_the_older_valid() {
    let stage = Stage::new(SimulatorArgs { sim_token_ttl: Some("1500ms".into()), ..Default::default() }).await;
    let (older, newer) = (stage.token().await, stage.token().await);
    assert_ne!(older, newer);
    assert_eq!(stage.request_day(&older, FRIDAY).await.status(), 200);
    assert_eq!(stage.request_day(&newer, FRIDAY).await.status(), 200);
    tokio::time::sleep(Duration::from_millis(1600)).await;
    assert_eq!(stage.request_day(&newer, FRIDAY).await.status(), 401);
    assert_eq!(stage.request_day(&stage.token().await, FRIDAY).await.status(), 200);
}

#[tokio::test]
async fn a_status_fault_applies_to_its_date_and_count_with_its_retry_after() {
    let stage = Stage::with_faults(&["503+7s@2024-01-05x2", "429@2024-01-08"]).await;
    let token = stage.token().await;
    for expected in [503, 503, 200, 200] {
        let response = stage.request_day(&token, FRIDAY).await;
        assert_eq!(response.status(), expected);
        let wait = response.headers().get(RETRY_AFTER).map(|wait| wait.to_str().unwrap().to_owned());
        assert_eq!(wait.as_deref(), (expected == 503).then_some("7"));
    }
    assert_eq!(stage.request_day(&token, "20240104").await.status(), 200);
    let limited = stage.request_day(&token, "20240108").await;
    assert_eq!((limited.status().as_u16(), limited.headers().get(RETRY_AFTER)), (429, None));
}

#[tokio::test]
async fn a_refused_token_does_not_use_up_a_counted_fault() {
    let stage = Stage::with_faults(&["500x1"]).await;
    assert_eq!(stage.request_day("unknown", FRIDAY).await.status(), 401);
    let token = stage.token().await;
    assert_eq!(stage.request_day(&token, FRIDAY).await.status(), 500);
    assert_eq!(stage.request_day(&token, FRIDAY).await.status(), 200);
}

#[tokio::test]
async fn a_cut_breaks_the_framing_and_the_json_in_turn() {
    // a day in one piece, and one in many; a day without rows
    for (rows, date) in [("40", FRIDAY), ("=3000", FRIDAY), ("40", SATURDAY)] {
        let args = SimulatorArgs { sim_rows: Some(rows.into()), sim_fault: vec!["cutx4".into()], ..Default::default() };
        let stage = Stage::new(args).await;
        let token = stage.token().await;
        let (mut framing, mut json) = (0, 0);
        for _ in 0..4 {
            let response = stage.request_day(&token, date).await;
            assert_eq!(response.status(), 200);
            let mut stream = response.bytes_stream();
            let mut received = Vec::new();
            let mut broken = false;
            while let Some(piece) = stream.next().await {
                match piece {
                    Ok(bytes) => received.extend_from_slice(&bytes),
                    Err(_) => broken = true,
                }
            }
            assert!(received.starts_with(b"{\"RESULTCODE\""), "{rows}: {} bytes", received.len());
            assert!(serde_json::from_slice::<Value>(&received).is_err());
            *if broken { &mut framing } else { &mut json } += 1;
        }
        assert_eq!((framing, json), (2, 2), "{rows}");
        assert_eq!(stage.simulator.counts().rows_served, 0);
        let whole = body(stage.request_day(&token, date).await).await;
        assert_eq!(stage.simulator.counts().rows_served, whole["DATA"].as_array().map_or(0, Vec::len) as u64);
    }
}

#[tokio::test]
async fn a_stall_sends_half_and_does_not_hold_up_the_end() {
    let stage = Stage::with_faults(&["stall"]).await;
    let token = stage.token().await;
    let mut stream = stage.request_day(&token, FRIDAY).await.bytes_stream();
    let half = stream.next().await.unwrap().unwrap();
    assert!(half.starts_with(b"{\"RESULTCODE\":\"0000\"") && !half.ends_with(b"]}"));
    assert!(tokio::time::timeout(Duration::from_millis(300), stream.next()).await.is_err());
    let started = Instant::now();
    stage.simulator.stop().await;
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn html_codes_and_resets_replace_the_response() {
    let stage = Stage::with_faults(&["html@2024-01-04", "code=E123@2024-01-05", "reset@2024-01-08x1"]).await;
    let token = stage.token().await;
    let page = stage.request_day(&token, "20240104").await;
    assert_eq!((page.status().as_u16(), page.headers()[CONTENT_TYPE].to_str().unwrap()), (200, "text/html; charset=utf-8"));
    assert!(page.text().await.unwrap().starts_with("<!DOCTYPE html>"));
    let failed = body(stage.request_day(&token, FRIDAY).await).await;
    assert_eq!((&failed["RESULTCODE"], failed.get("DATA")), (&json!("E123"), None));
    let reset = stage.day(&token, "20240108").send().await.unwrap_err();
    assert!(reset.status().is_none() && !reset.is_connect(), "{reset:?}");
    assert_eq!(stage.request_day(&token, "20240108").await.status(), 200);
    assert_eq!(stage.simulator.counts().answered, BTreeMap::from([(200, 4)]));
}

#[tokio::test]
async fn an_expiry_fault_refuses_the_token_for_good() {
    let stage = Stage::with_faults(&["expire@2024-01-05x1"]).await;
    let (token, other) = (stage.token().await, stage.token().await);
    assert_eq!(stage.request_day(&token, "20240104").await.status(), 200);
    assert_eq!(stage.request_day(&token, FRIDAY).await.status(), 401);
    assert_eq!(stage.request_day(&token, "20240104").await.status(), 401);
    assert_eq!(stage.request_day(&other, FRIDAY).await.status(), 200);
}

#[tokio::test]
async fn a_latency_delays_any_response() {
    let stage = Stage::with_faults(&["latency=250ms@2024-01-05", "500@2024-01-05"]).await;
    let token = stage.token().await;
    let started = Instant::now();
    assert_eq!(stage.request_day(&token, FRIDAY).await.status(), 500);
    assert!(started.elapsed() >= Duration::from_millis(250));
}

#[tokio::test]
async fn token_faults_apply_to_the_token_endpoint_only() {
    let stage = Stage::with_faults(&["token-500x1", "token-429+3sx2", "token-refusedx3"]).await;
    let first = stage.request_token("simulator", "simulator-key").await;
    assert_eq!((first.status().as_u16(), first.headers().get(RETRY_AFTER)), (500, None));
    let second = stage.request_token("simulator", "simulator-key").await;
    assert_eq!((second.status().as_u16(), second.headers()[RETRY_AFTER].to_str().unwrap()), (429, "3"));
    let third = body(stage.request_token("simulator", "simulator-key").await).await;
    assert_eq!((&third["RTN_CD"], third.get("TOKEN")), (&json!("E999"), None));
    let token = stage.token().await;
    assert_eq!(stage.request_day(&token, FRIDAY).await.status(), 200);
}

#[tokio::test]
async fn requests_are_counted_and_reported() {
    let stage = Stage::with_faults(&["500@2024-01-04x1"]).await;
    let token = stage.token().await;
    stage.request_day(&token, "20240104").await;
    let served = rows(&body(stage.request_day(&token, "20240104").await).await).len()
        + rows(&body(stage.request_day(&token, FRIDAY).await).await).len();
    stage.request_day("unknown", FRIDAY).await;
    stage.request_day(&token, "2024").await;
    stage.get("/elsewhere").await;
    let expected = json!({
        "token_requests": 1,
        "settlement_requests": 5,
        "answered": {"200": 4, "401": 1, "404": 1, "500": 1},
        "by_date": {"2024-01-04": 2, "2024-01-05": 2},
        "rows_served": served,
    });
    assert_eq!(body(stage.get("/_simulator/requests").await).await, expected);
    // inspections are not counted
    assert_eq!(body(stage.get("/_simulator/requests").await).await, expected);
    assert_eq!(serde_json::to_value(stage.simulator.counts()).unwrap(), expected);
}

#[tokio::test]
async fn the_rows_behind_a_fault_can_be_inspected() {
    let args =
        SimulatorArgs { sim_merchant: vec!["m1=k1".into(), "상점 2=k2".into()], sim_fault: vec!["500x1".into()], ..Default::default() };
    let stage = Stage::new(args).await;
    let token = stage.token().await;
    assert_eq!(stage.request_day(&token, FRIDAY).await.status(), 500);
    let shown = stage.get("/_simulator/rows?date=2024-01-05&merchant=m1").await.bytes().await.unwrap();
    assert_eq!(shown, stage.request_day(&token, FRIDAY).await.bytes().await.unwrap());
    assert_eq!(shown, stage.get("/_simulator/rows?date=20240105").await.bytes().await.unwrap());
    let other = stage.get("/_simulator/rows?merchant=%EC%83%81%EC%A0%90%202&date=2024-01-05").await;
    assert_eq!(other.status(), 200);
    assert_ne!(shown, other.bytes().await.unwrap());
    for query in ["", "?date=2024-02-30", "?date=2024-01-05&merchant=nobody"] {
        let refused = stage.get(&format!("/_simulator/rows{query}")).await;
        assert_eq!(refused.status(), 400, "{query}");
        assert!(body(refused).await["error"].as_str().unwrap().contains("expected "), "{query}");
    }
}

/// Status and body of each attempt for each date, faults and retries included.
async fn walk(stage: &Stage, concurrency: usize, backwards: bool) -> BTreeMap<(NaiveDate, usize), (u16, Option<Vec<u8>>)> {
    let token = stage.token().await;
    let mut dates: Vec<_> = NaiveDate::from_ymd_opt(2024, 1, 1).unwrap().iter_days().take(60).collect();
    if backwards {
        dates.reverse();
    }
    let days = futures::stream::iter(dates).map(|date| {
        let token = token.clone();
        async move {
            let mut tries = Vec::new();
            for nth in 0..3 {
                let response = stage.request_day(&token, &date.format("%Y%m%d").to_string()).await;
                let status = response.status().as_u16();
                tries.push(((date, nth), (status, response.bytes().await.ok().map(Into::into))));
            }
            tries
        }
    });
    days.buffer_unordered(concurrency).collect::<Vec<_>>().await.into_iter().flatten().collect()
}

#[tokio::test]
async fn two_simulators_respond_alike_in_any_order_and_at_any_concurrency() {
    let faults = ["500:0.2", "429+1s:0.1", "cut:0.2", "html:0.1", "latency=2ms:0.3"];
    let (one, other) = (Stage::with_faults(&faults).await, Stage::with_faults(&faults).await);
    let bodies = walk(&one, 1, false).await;
    assert_eq!(bodies, walk(&other, 8, true).await);
    let failed = bodies.values().filter(|(status, _)| *status >= 400).count();
    let broken = bodies.values().filter(|(_, body)| body.is_none()).count();
    assert!((25..80).contains(&failed) && broken > 3, "{failed} {broken}");

    let seeded = SimulatorArgs { sim_seed: Some(2), ..Default::default() };
    let stage = Stage::new(seeded).await;
    assert_ne!(stage.request_day(&stage.token().await, FRIDAY).await.bytes().await.unwrap(), {
        let stage = Stage::with_faults(&[]).await;
        stage.request_day(&stage.token().await, FRIDAY).await.bytes().await.unwrap()
    });
}

#[tokio::test]
async fn a_large_day_is_streamed_and_counted_when_whole() {
    let stage = Stage::new(SimulatorArgs { sim_rows: Some("=60000".into()), ..Default::default() }).await;
    let token = stage.token().await;
    let response = stage.request_day(&token, SATURDAY).await;
    assert_eq!(response.content_length(), None);
    let response_body = body(response).await;
    assert_eq!(rows(&response_body).len(), 60_000);
    assert_eq!(stage.simulator.counts().rows_served, 60_000);
    // a client that disconnects half way was not served
    let mut left = stage.request_day(&token, SATURDAY).await.bytes_stream();
    left.next().await.unwrap().unwrap();
    drop(left);
    assert_eq!(rows(&body(stage.get("/_simulator/rows?date=2024-01-06").await).await).len(), 60_000);
    assert_eq!(stage.simulator.counts().rows_served, 60_000);
}

#[tokio::test]
async fn a_stopped_simulator_is_gone() {
    let stage = Stage::new(SimulatorArgs::default()).await;
    let url = stage.url("/_simulator/requests");
    assert_eq!(stage.get("/_simulator/requests").await.status(), 200);
    let started = Instant::now();
    stage.simulator.stop().await;
    assert!(started.elapsed() < Duration::from_millis(900), "an idle connection is not waited for");
    assert!(stage.client.get(&url).send().await.unwrap_err().is_connect());

    let dropped = Stage::new(SimulatorArgs::default()).await;
    let url = dropped.url("/_simulator/requests");
    drop(dropped.simulator);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(dropped.client.get(&url).send().await.is_err());
}

#[tokio::test]
async fn requests_beyond_the_rate_limit_are_refused_until_a_second_has_passed() {
    let stage = Stage::new(SimulatorArgs { sim_rate_limit: Some(4), ..SimulatorArgs::default() }).await;
    let token = stage.token().await;
    for _ in 0..3 {
        assert_eq!(stage.request_day(&token, FRIDAY).await.status(), StatusCode::OK);
    }
    let mut refused = stage.request_day(&token, FRIDAY).await;
    // four were free at once, and one more comes every 250 ms
    for _ in 0..20 {
        if refused.status() == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
        refused = stage.request_day(&token, FRIDAY).await;
    }
    assert_eq!((refused.status(), &refused.headers()[RETRY_AFTER]), (StatusCode::TOO_MANY_REQUESTS, &"1".parse().unwrap()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.request_day(&token, FRIDAY).await.status(), StatusCode::OK);
    // inspections are not limited
    for _ in 0..20 {
        assert_eq!(stage.get("/_simulator/requests").await.status(), StatusCode::OK);
    }
    assert!(stage.simulator.counts().answered[&429] >= 1);
}

//! Requests to the API: tokens, retries, waits, limits, and secrets that never leave the process.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::api::{Api, Reply, Request, envelope, one_row, row};
use crate::support::lake::{files, rows};
use crate::support::{KEY, Ran, Run, finish};

/// Runs eight walkers over `to` days of January.
fn walk(api: &Api, dest: &Path, to: &str, more: &[&str]) -> Ran {
    Run::backfill(api).days("2024-01-01", to).into(dest).args(["--concurrency", "8"]).args(more).ran()
}

#[test]
fn requests_are_as_the_manual_has_them() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    walk(&api, lake.path(), "2024-01-01", &[]).ok();
    let token = &api.requests("/payAuth/token")[0];
    assert_eq!(token.body, serde_json::json!({ "pay2_id": "m1", "pay2_key": KEY }));
    let call = &api.settlements()[0];
    assert_eq!(call.body, serde_json::json!({ "API_ID": "m1", "DATE": "20240101" }));
    assert_eq!(call.headers["token"], "t0ken-1-Secret");
    assert_eq!(call.headers["content-type"], "application/json; charset=utf-8");
}

#[test]
fn eight_walkers_share_one_token() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    let result = walk(&api, lake.path(), "2024-01-31", &[]).ok().result();
    assert_eq!(api.tokens(), 1);
    assert_eq!((&result["requests"], &result["token_requests"], &result["retries"]), (&32.into(), &1.into(), &0.into()));
}

#[test]
fn a_token_refused_mid_run_is_renewed_once_for_all() {
    for refusal in ["401", "403", "code"] {
        let served = AtomicUsize::new(0);
        let api = Api::new(move |request| {
            let first = request.headers["token"] == "t0ken-1-Secret";
            if first && served.fetch_add(1, Ordering::SeqCst) >= 12 {
                return match refusal {
                    "code" => Reply::json(r#"{"RESULTCODE":"E777","RESULTMSG":"token expired"}"#),
                    status => Reply::new(status.parse().unwrap(), &[], "no"),
                };
            }
            one_row(request)
        });
        let lake = tempfile::tempdir().unwrap();
        let result = walk(&api, lake.path(), "2024-01-31", &[]).ok().result();
        assert_eq!((api.tokens(), &result["dates"]["published"]), (2, &31.into()), "{refusal}");
    }
}

#[test]
fn a_refused_key_ends_the_run_before_any_settlement() {
    let api = Api::scripted(|_| Reply::json(format!(r#"{{"RTN_CD":"E101","RTN_MSG":"unknown key {KEY}"}}"#)));
    let lake = tempfile::tempdir().unwrap();
    let ran = walk(&api, lake.path(), "2024-01-31", &[]).exits(4);
    assert_eq!((api.settlements().len(), api.tokens()), (0, 1));
    let result = ran.result();
    assert_eq!(result["failures"][0]["kind"], "auth");
    assert!(result["failures"][0]["message"].as_str().unwrap().contains("E101"));
    let dates = &result["dates"];
    assert_eq!(dates["failed"].as_u64().unwrap() + dates["not_attempted"].as_u64().unwrap(), 31);
    assert!(!ran.prints(KEY), "{ran:?}");
}

#[test]
fn a_new_token_that_is_refused_ends_the_run_with_exit_4() {
    let api = Api::new(|_| Reply::new(401, &[], ""));
    let lake = tempfile::tempdir().unwrap();
    let ran = walk(&api, lake.path(), "2024-01-31", &["--retries", "1"]).exits(4);
    assert!(ran.result()["failures"][0]["message"].as_str().unwrap().contains("HTTP 401"), "{ran:?}");
}

#[test]
fn a_token_that_expires_between_attempts_is_renewed() {
    let api = Api::new(|request| match (request.earlier, request.headers["token"].as_str()) {
        (0, _) => Reply::new(500, &[], ""),
        (_, "t0ken-1-Secret") => Reply::json(r#"{"RESULTCODE":"E401","RESULTMSG":"expired"}"#),
        _ => one_row(request),
    });
    let lake = tempfile::tempdir().unwrap();
    walk(&api, lake.path(), "2024-01-01", &[]).ok();
    assert_eq!((api.tokens(), api.settlements().len()), (2, 3));
}

#[test]
fn a_code_that_a_new_token_does_not_fix_costs_one_token() {
    let api = Api::new(|_| Reply::json(r#"{"RESULTCODE":"E999","RESULTMSG":"busy"}"#));
    let lake = tempfile::tempdir().unwrap();
    let ran = walk(&api, lake.path(), "2024-01-01", &["--retries", "2"]).exits(6);
    assert_eq!(ran.result()["failures"][0]["attempts"], 3);
    assert!(api.tokens() <= 2 && api.settlements().len() <= 4, "{} {}", api.tokens(), api.settlements().len());
}

#[test]
fn tokens_refused_one_after_another_end_the_run_early() {
    let api = Api::new(|_| Reply::new(401, &[], ""));
    let lake = tempfile::tempdir().unwrap();
    walk(&api, lake.path(), "2024-01-31", &[]).exits(4);
    assert!(api.settlements().len() <= 40, "{}", api.settlements().len());
}

#[test]
fn token_attempts_are_counted() {
    let api = Api::scripted(|_| Reply::new(500, &[], ""));
    let lake = tempfile::tempdir().unwrap();
    let ran = walk(&api, lake.path(), "2024-01-01", &["--retries", "2"]).exits(6);
    assert_eq!((&ran.result()["failures"][0]["attempts"], api.tokens()), (&3.into(), 3));
}

#[test]
fn a_secret_is_redacted_in_its_json_form_too() {
    const TOKEN: &str = "tok/1/ABC+DEF==";
    let api = Api::scripted(|request| match request.path.as_str() {
        "/payAuth/token" => Reply::json(format!(r#"{{"RTN_CD":"0000","TOKEN":"{TOKEN}"}}"#)),
        _ => Reply::new(500, &[], format!(r#"{{"error":"expired {}"}}"#, TOKEN.replace('/', "\\/"))),
    });
    let lake = tempfile::tempdir().unwrap();
    let ran = walk(&api, lake.path(), "2024-01-01", &["--retries", "1"]).exits(6);
    assert!(ran.failure("upstream").contains("[secret]") && !ran.prints("ABC+DEF"), "{ran:?}");
}

#[test]
fn a_token_under_a_lower_case_key_is_accepted_and_an_unusable_one_is_not() {
    for (body, code) in [
        (r#"{"RTN_CD":"0000","token":"abc"}"#, 0),
        (r#"[{"RTN_CD":"0000","TOKEN":"abc"}]"#, 0),
        (r#"{"RTN_CD":"0000"}"#, 6),
        (r#"{"RTN_CD":"0000","TOKEN":"a\nb"}"#, 6),
        ("<html>", 6),
    ] {
        let api = Api::scripted(move |request| match request.path.as_str() {
            "/payAuth/token" => Reply::json(body),
            _ => one_row(request),
        });
        let lake = tempfile::tempdir().unwrap();
        walk(&api, lake.path(), "2024-01-01", &["--retries", "1"]).exits(code);
    }
}

#[test]
fn transient_failures_are_retried() {
    let whole = envelope(&[row("20240101", &[])]);
    let html = Reply::new(200, &[("Content-Type", "text/html")], "<html>busy</html>");
    let mut troubles: Vec<Reply> = [408, 429, 500, 502, 503, 504].map(|status| Reply::new(status, &[], "busy")).to_vec();
    troubles.extend([
        html,
        Reply::json(&whole).cut(5),
        Reply::json(&whole[..20]),
        Reply::json(r#"{"RESULTCODE":"E999","RESULTMSG":"busy"}"#),
        Reply::json(&whole[..40]).stalled(),
    ]);
    for (index, trouble) in troubles.into_iter().enumerate() {
        let api = Api::new(move |request| if request.earlier < 2 { trouble.clone() } else { one_row(request) });
        let lake = tempfile::tempdir().unwrap();
        let result = walk(&api, lake.path(), "2024-01-01", &["--timeout", "500ms"]).ok().result();
        assert_eq!((&result["retries"], &result["rows"]), (&2.into(), &1.into()), "{index}");
    }
}

#[test]
fn permanent_failures_are_not_retried() {
    let elsewhere = Api::responding("{}");
    let location = format!("{}/x", elsewhere.url);
    for (reply, why) in [
        (Reply::new(404, &[], "no such page"), "404"),
        (Reply::new(400, &[], "bad"), "400"),
        (Reply::new(302, &[("Location", &location)], ""), "redirect"),
        (Reply::new(307, &[("Location", &location)], ""), "redirect"),
    ] {
        let api = Api::new(move |_| reply.clone());
        let lake = tempfile::tempdir().unwrap();
        let ran = walk(&api, lake.path(), "2024-01-01", &[]).exits(6);
        assert!(ran.failure("upstream").contains(why), "{ran:?}");
        assert_eq!(api.settlements().len(), 1);
    }
    assert_eq!(elsewhere.requests("/x").len(), 0, "a redirect was followed");
}

#[test]
fn attempts_are_counted_and_bounded() {
    let api = Api::new(|_| Reply::new(500, &[], "다운"));
    let lake = tempfile::tempdir().unwrap();
    let ran = walk(&api, lake.path(), "2024-01-01", &["--retries", "2"]).exits(6);
    assert_eq!(api.settlements().len(), 3);
    let failure = &ran.result()["failures"][0];
    assert_eq!((&failure["attempts"], &failure["pay_date"]), (&3.into(), &"2024-01-01".into()));
    assert!(failure["message"].as_str().unwrap().contains("HTTP 500"), "{failure}");
}

/// A backfill with a rate limit of its own.
fn at_rate(api: &Api, dest: &Path, days: (&str, &str), more: &[&str]) -> Ran {
    let mut command = crate::support::binary();
    command.args(["backfill", "--base-url", &api.url, "--api-id", "m1", "--from", days.0, "--to", days.1]).args(more);
    finish(command.arg("--dest").arg(dest).env("COOKIEPAY_API_KEY", KEY))
}

#[test]
fn every_walker_obeys_retry_after() {
    let in_two_seconds = || httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(3));
    for (dated, rate) in [(false, "0"), (true, "0"), (false, "10")] {
        let api = Api::new(move |request| {
            if request.date() == "20240101" && request.earlier == 0 {
                let wait = if dated { in_two_seconds() } else { "2".into() };
                return Reply::new(429, &[("Retry-After", &wait)], "slow down");
            }
            std::thread::sleep(Duration::from_millis(80));
            one_row(request)
        });
        let lake = tempfile::tempdir().unwrap();
        let began = Instant::now();
        let days = ("2024-01-01", "2024-01-31");
        let ran = at_rate(&api, lake.path(), days, &["--concurrency", "2", "--rate-limit", rate]).ok();
        assert!(began.elapsed() >= Duration::from_secs(2), "{ran:?}");
        assert!(ran.stderr.contains("HTTP 429"), "{ran:?}");
        // every walker learns of the wait quickly; nothing is requested while it lasts
        let requests = api.settlements();
        let refused = requests.iter().find(|request| request.date() == "20240101").unwrap().at;
        let waited = refused + Duration::from_secs(1)..refused + Duration::from_millis(1900);
        let early: Vec<&str> = requests.iter().filter(|request| waited.contains(&request.at)).map(Request::date).collect();
        assert!(early.is_empty() && requests.len() == 32, "{early:?} of {}", requests.len());
    }
}

#[test]
fn a_retry_after_of_a_year_is_not_obeyed() {
    let api = Api::new(|_| Reply::new(503, &[("Retry-After", "31536000")], ""));
    let lake = tempfile::tempdir().unwrap();
    let ran = walk(&api, lake.path(), "2024-01-01", &[]).exits(6);
    assert!(ran.failure("rate_limit").contains("run again later"), "{ran:?}");
}

#[test]
fn a_run_stops_after_several_consecutive_days_fail() {
    let api = Api::new(|_| Reply::new(500, &[], ""));
    let lake = tempfile::tempdir().unwrap();
    let ran =
        Run::backfill(&api).days("2024-01-01", "2024-12-31").into(lake.path()).args(["--retries", "0", "--concurrency", "1"]).exits(6);
    let dates = &ran.result()["dates"];
    assert_eq!((&dates["failed"], &dates["not_attempted"], &dates["planned"]), (&5.into(), &361.into(), &366.into()));
    assert_eq!(api.settlements().len(), 5);
}

#[test]
fn the_rate_limit_applies_to_the_whole_run() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    let began = Instant::now();
    at_rate(&api, lake.path(), ("2024-01-01", "2024-01-20"), &["--concurrency", "8", "--rate-limit", "20"]).ok();
    // 21 requests, one every 50 ms, the first at once
    assert!(began.elapsed() >= Duration::from_millis(950), "{:?}", began.elapsed());
}

#[test]
fn a_response_larger_than_the_limit_is_refused() {
    let big = envelope(&vec![row("20240101", &[]); 5000]);
    let declared = Reply::json(&big);
    let undeclared = Reply::undeclared(200, &[], &big);
    for reply in [declared, undeclared] {
        let api = Api::new(move |_| reply.clone());
        let lake = tempfile::tempdir().unwrap();
        let ran = walk(&api, lake.path(), "2024-01-01", &["--max-answer-mib", "1"]).exits(5);
        assert!(ran.failure("contract").contains("1 MiB"), "{ran:?}");
        assert!(!files(lake.path()).iter().any(|file| file.contains("m1.parquet")));
    }
}

#[test]
fn an_unreachable_api_is_reported() {
    let lake = tempfile::tempdir().unwrap();
    let nobody = Api::nowhere();
    let ran = Run::backfill(&nobody).days("2024-01-01", "2024-01-01").into(lake.path()).args(["--retries", "1"]).exits(6);
    assert!(ran.failure("upstream").contains("could not connect"), "{ran:?}");
}

#[test]
fn a_proxy_is_never_used_for_loopback() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    let proxies = ["HTTP_PROXY", "http_proxy", "ALL_PROXY"].map(|name| (name, "http://127.0.0.1:1"));
    Run::backfill(&api).days("2024-01-01", "2024-01-01").into(lake.path()).envs(proxies).ok();
}

/// Searches everything that a run writes or prints, at every log level, for the key and every token, with an API that
/// repeats them wherever it can.
#[test]
fn no_secret_is_printed_logged_or_stored() {
    let api = Api::new(|request| {
        let token = &request.headers["token"];
        let day = request.date().to_owned();
        match day.as_str() {
            "20240102" => Reply::new(500, &[], format!("no: {token} {KEY}")),
            "20240103" => Reply::json(format!(r#"{{"RESULTCODE":"E9","RESULTMSG":"{token} {KEY}"}}"#)),
            "20240104" => Reply::new(200, &[], format!("<html>{token}{KEY}")),
            "20240105" => Reply::json(format!(r#"{{"RESULTCODE":"0000","RESULTMSG":"{token} {KEY}","DATA":[]}}"#)),
            "20240106" => Reply::json(envelope(&[row(&day, &[("FEE", r#""x""#)])])),
            _ => one_row(request),
        }
    });
    for level in ["-q", "-v", "-vv", "-vvv"] {
        for format in ["text", "json"] {
            let root = tempfile::tempdir().unwrap();
            let result = root.path().join("result.json");
            let run = Run::backfill(&api).days("2024-01-01", "2024-01-07").into(root.path().join("lake"));
            let ran = run.args([level, "--log-format", format, "--retries", "1", "--result-file"]).arg(&result).exits(3);
            let mut seen = format!("{}{}", ran.stdout, ran.stderr).into_bytes();
            for file in files(root.path()) {
                seen.extend(file.as_bytes());
                seen.extend(std::fs::read(root.path().join(file)).unwrap());
            }
            // Parquet may compress text
            for file in files(&root.path().join("lake")).iter().filter(|file| file.ends_with(".parquet")) {
                seen.extend(format!("{:?}", rows(&root.path().join("lake").join(file))).into_bytes());
            }
            let seen = String::from_utf8_lossy(&seen);
            for secret in [KEY, "t0ken-"] {
                if let Some(at) = seen.find(secret) {
                    let from = seen.floor_char_boundary(at.saturating_sub(300));
                    panic!("{secret} was seen with {level}: …{}", &seen[from..at]);
                }
            }
        }
    }
}

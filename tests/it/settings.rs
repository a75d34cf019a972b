//! Settings as people have them: in containers, on machines behind proxies, in files that editors and tools wrote. What cannot
//! be meant is exit 2, by name, before any request; what can is used.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::api::{Api, Reply, envelope, row};
use crate::support::s3::{S3, S3Reply, S3Request};
use crate::support::{KEY, Ran, Run};

const DAY: &str = "2024-01-05";

/// What a run into `s3://b/lake` reports that must not begin.
fn refused_on_s3(variables: &[(&str, &str)]) -> String {
    let run = Run::new("backfill").args(["--env", "simulator", "--from", DAY, "--to", DAY, "--dest", "s3://b/lake"]);
    let clean = [("AWS_CONFIG_FILE", "/nowhere"), ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere"), ("AWS_EC2_METADATA_DISABLED", "true")];
    let ran = run.envs(clean).envs(variables.iter().copied()).exits(2);
    let result = ran.result();
    assert_eq!(result["status"], "failed");
    let error = result["error"].as_str().unwrap().to_owned();
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn aws_settings_that_cannot_be_used_are_named() {
    let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "s3cret")];
    for (name, value) in [
        ("AWS_ENDPOINT_URL", "minio:9000"),
        ("AWS_ENDPOINT_URL_S3", "http://"),
        ("AWS_ENDPOINT_URL", "http:/127.0.0.1:1"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1/?x"),
        ("AWS_ENDPOINT_URL", "http://id:s3cret@127.0.0.1:1"),
        ("AWS_CONDITIONAL_PUT", "etags"),
        ("AWS_CHECKSUM_ALGORITHM", "md5"),
        ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "maybe"),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_ENDPOINT", "'http://127.0.0.1:1'"),
        ("AWS_REGION", "us east"),
        ("AWS_REGION", "\"us-east-1\""),
        ("AWS_DEFAULT_REGION", "us-east-1\nx"),
        ("AWS_ACCESS_KEY_ID", "id\nid"),
        ("AWS_SECRET_ACCESS_KEY", "s3cret\u{7}x"),
        ("AWS_SESSION_TOKEN", "tok\ren"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "no url"),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "v2/credentials"),
        ("AWS_METADATA_ENDPOINT", "169.254.169.254"),
        ("AWS_CA_BUNDLE", "/nowhere/ca.pem"),
        ("AWS_CA_BUNDLE", "/etc/hostname"),
    ] {
        let error = refused_on_s3(&[&keys[..], &[(name, value)]].concat());
        assert!(error.contains(name) && !error.contains("s3cret"), "{name} {value:?}: {error}");
    }
    // without credentials, the address of a metadata service helps nobody
    let error = refused_on_s3(&[]);
    assert!(error.contains("no AWS credentials were found: set AWS_ACCESS_KEY_ID") && !error.contains("169.254"), "{error}");
}

#[test]
fn aws_variables_that_are_blank_are_not_set_and_white_space_is_no_part_of_a_value() {
    let (api, s3) = (Api::one_row(), S3::new(|_| None));
    let blank =
        ["AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_CONDITIONAL_PUT", "AWS_CHECKSUM_ALGORITHM", "AWS_ALLOW_HTTP", "AWS_ROLE_ARN"];
    let run = s3.lake(Run::backfill(&api).days(DAY, DAY)).envs(blank.map(|name| (name, ""))).env("AWS_REGION", "us-east-1\r");
    run.env("AWS_SECRET_ACCESS_KEY", " secret\r\n").ok();
    assert_eq!(s3.keys(), ["settlements/pay_date=2024-01-05/m1.parquet"]);
}

#[test]
fn profiles_are_read_as_the_aws_tools_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let s3 = S3::new(|request: &S3Request| {
        // the region is part of the signature
        let scope = request.headers.get("authorization").cloned().unwrap_or_default();
        (!scope.contains("/ap-northeast-2/s3/")).then(|| S3Reply::error(400, "AuthorizationHeaderMalformed", "another region"))
    });
    std::fs::write(path("credentials"), "[my lake]\naws_access_key_id = id\naws_secret_access_key = secret\n[default]\naws_access_key_id=id\naws_secret_access_key=secret\n").unwrap();
    let config = format!(
        "[profile default]\nregion = ap-northeast-2\nendpoint_url = {url}\n[profile \"my lake\"]\ns3 =\n  region = eu-west-1\nregion = ap-northeast-2\nservices = local\n[services local]\ns3 =\n  endpoint_url = {url}\n",
        url = s3.url()
    );
    std::fs::write(path("config"), config).unwrap();
    let api = Api::one_row();
    let files = [("AWS_SHARED_CREDENTIALS_FILE", path("credentials")), ("AWS_CONFIG_FILE", path("config"))];
    let run = |more: &[(&str, &str)]| {
        Run::backfill(&api)
            .days(DAY, DAY)
            .args(["--dest", "s3://b/lake", "--refetch", "all"])
            .envs(files.clone())
            .envs(more.iter().copied())
    };
    run(&[]).ok();
    run(&[("AWS_PROFILE", "my lake")]).ok();
    run(&[("AWS_DEFAULT_PROFILE", "my lake")]).ok();
    // the keys come from elsewhere, region and endpoint from the profile
    run(&[("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_PROFILE", "my lake")]).ok();
    let error = run(&[("AWS_PROFILE", "nobody")]).exits(2).result()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("AWS_PROFILE nobody is in neither"), "{error}");
    std::fs::write(path("config"), "[profile default]\nregion = ap-northeast-2\nendpoint_url = minio:9000\n").unwrap();
    let error = run(&[]).exits(2).result()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("endpoint_url of default in ") && error.contains("minio:9000"), "{error}");
}

#[test]
fn a_containers_credentials_are_fetched_with_its_token() {
    let (api, s3) = (Api::one_row(), S3::new(|_| None));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "t0ken\n").unwrap();
    for (name, value) in
        [("AWS_CONTAINER_AUTHORIZATION_TOKEN", "t0ken"), ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().unwrap())]
    {
        let agent = Api::scripted(|request| match request.headers.get("authorization").map(String::as_str) {
            Some("t0ken") => {
                Reply::json(r#"{"AccessKeyId":"id","SecretAccessKey":"secret","Token":"session","Expiration":"2999-01-01T00:00:00Z"}"#)
            }
            _ => Reply::new(401, &[], "no"),
        });
        let run = s3.lake(Run::backfill(&api).days(DAY, DAY)).args(["--refetch", "all"]);
        let run = run
            .env("AWS_ACCESS_KEY_ID", "")
            .env("AWS_SECRET_ACCESS_KEY", "")
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/creds", agent.url));
        run.env(name, value).ok();
        assert_eq!(agent.requests("/creds").len(), 1, "{name}");
    }
}

#[test]
fn destinations_that_would_become_odd_folders_are_refused_with_the_right_form() {
    let folder = tempfile::tempdir().unwrap();
    for (dest, form) in [
        ("~/lake", "/home/kim/lake"),
        ("$HOME/lake", "/home/kim/lake"),
        ("${HOME}/lake", "/home/kim/lake"),
        ("~kim/lake", "shell"),
        ("/data/$STAGE/lake", "shell"),
        ("s3://${BUCKET}/lake", "shell"),
        ("C:\\lake", "Windows"),
        ("D:", "Windows"),
        (".\\lake", "Windows"),
        ("\\\\server\\lake", "Windows"),
        ("s3a://bucket/lake", "s3://bucket/lake"),
        ("bucket.s3.amazonaws.com/lake", "s3://bucket"),
        ("arn:aws:s3:::bucket/lake", "s3://bucket/lake"),
        ("s3://localhost:9000/x", "AWS_ENDPOINT_URL=http://localhost:9000"),
        ("\"./lake\"", "write it as ./lake"),
        ("'s3://b/lake'", "write it as s3://b/lake"),
    ] {
        let mut command = crate::support::binary();
        command.current_dir(folder.path()).env("HOME", "/home/kim").args(["backfill", "--env", "simulator", "--from", DAY, "--to", DAY]);
        let ran = crate::support::finish(command.env("COOKIEPAY_DEST", dest)).exits(2);
        assert!(ran.result()["error"].as_str().unwrap().contains(form), "{dest}: {ran:?}");
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    // white space of a file of variables is no part of a name
    let mut command = crate::support::binary();
    command.current_dir(folder.path()).args(["backfill", "--env", "simulator", "--from", DAY, "--to", DAY]);
    crate::support::finish(command.env("COOKIEPAY_DEST", " lake\r")).ok();
    assert!(folder.path().join("lake/settlements").is_dir());
}

#[test]
fn a_proxy_that_cannot_be_read_is_not_passed_by() {
    for (name, value) in [
        ("HTTPS_PROXY", "http://proxy:3128\r"),
        ("NO_PROXY", "localhost\r"),
        ("https_proxy", "\"http://proxy:3128\""),
        ("ALL_PROXY", "http://"),
        ("HTTP_PROXY", " proxy:3128"),
    ] {
        let ran = Run::new("check").args(["--env", "simulator", "--dest", "x"]).env(name, value).exits(2);
        assert!(ran.stdout.contains(name) && !ran.stdout.contains("3128\r"), "{name}: {ran:?}");
    }
}

/// A run whose key must not be used.
fn key_refused(variables: &[(&str, &str)]) -> String {
    let api = Api::one_row();
    let run = Run::new("backfill").args(["--base-url", &api.url, "--api-id", "m1", "--from", DAY, "--to", DAY, "--dest", "x"]);
    let ran = run.envs(variables.iter().copied()).exits(2);
    assert_eq!(api.tokens(), 0);
    ran.result()["error"].as_str().unwrap().to_owned()
}

#[test]
fn keys_as_files_and_variables_hold_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let path = file.to_str().unwrap();
    let both = key_refused(&[("COOKIEPAY_API_KEY", KEY), ("COOKIEPAY_API_KEY_FILE", path)]);
    assert!(both.contains("COOKIEPAY_API_KEY and COOKIEPAY_API_KEY_FILE are both set"), "{both}");
    for content in [format!("\"{KEY}\"\n"), format!("{KEY}\nanother\n"), "\u{FEFF} \n".to_owned()] {
        std::fs::write(&file, &content).unwrap();
        let refused = key_refused(&[("COOKIEPAY_API_KEY_FILE", path)]);
        assert!(refused.contains(path) && !refused.contains(KEY), "{content:?}: {refused}");
    }
    std::fs::write(&file, KEY.encode_utf16().flat_map(u16::to_le_bytes).chain(*b"\xff\xfe").collect::<Vec<u8>>()).unwrap();
    assert!(key_refused(&[("COOKIEPAY_API_KEY_FILE", path)]).contains("save it as UTF-8"));
    for content in [format!("\u{FEFF}{KEY}\r\n"), format!("  {KEY}\n\n")] {
        std::fs::write(&file, &content).unwrap();
        let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
        let run = Run::new("backfill").args(["--base-url", &api.url, "--api-id", "m1"]).days(DAY, DAY).into(lake.path());
        run.env("COOKIEPAY_API_KEY_FILE", path).ok();
        assert_eq!(api.requests("/payAuth/token")[0].body["pay2_key"], KEY, "{content:?}");
    }
    // the place that is named is where the key came from
    std::fs::write(&file, KEY).unwrap();
    let api = Api::scripted(|_| Reply::json(r#"{"RTN_CD":"E101","RTN_MSG":"no such key"}"#));
    let lake = tempfile::tempdir().unwrap();
    let run = Run::new("backfill").args(["--base-url", &api.url, "--api-id", "m1"]).days(DAY, DAY).into(lake.path());
    let message = run.env("COOKIEPAY_API_KEY_FILE", path).exits(4).failure("auth");
    assert!(message.contains(&format!("the key from the file {path}")), "{message}");
}

#[test]
fn a_key_on_the_command_line_is_refused_and_not_repeated() {
    for arguments in [vec!["backfill", "--api-key", KEY], vec!["backfill", &format!("--api-key={KEY}")]] {
        let arguments: Vec<&str> = arguments.into_iter().collect();
        let ran = crate::support::run(&arguments).exits(2);
        assert!(ran.stderr.contains("set COOKIEPAY_API_KEY or COOKIEPAY_API_KEY_FILE") && !ran.stderr.contains("--api-id"), "{ran:?}");
        assert!(!ran.prints(KEY));
    }
}

#[test]
fn a_machine_without_certificates() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    let bare = [("SSL_CERT_FILE", "/nowhere/ca.pem"), ("SSL_CERT_DIR", "/nowhere")];
    // loopback without TLS needs none: neither the API nor a lake
    Run::backfill(&api).days(DAY, DAY).into(lake.path()).envs(bare).ok();
    S3::new(|_| None).lake(Run::backfill(&api).days(DAY, DAY)).envs(bare).ok();
    let ran = Run::new("check").args(["--api-id", "m1", "--dest", "x"]).env("COOKIEPAY_API_KEY", KEY).envs(bare).exits(2);
    assert!(ran.stdout.contains("install the package ca-certificates, or set SSL_CERT_FILE"), "{ran:?}");
}

#[test]
fn messages_of_the_transport_name_the_host_and_the_cure() {
    let lake = tempfile::tempdir().unwrap();
    let failed = |url: &str| {
        let run = Run::new("backfill").args(["--base-url", url, "--api-id", "m1", "--retries", "0"]).days(DAY, DAY);
        run.env("COOKIEPAY_API_KEY", KEY).into(lake.path()).exits(6).failure("upstream")
    };
    let dns = failed("https://no-such-host.invalid");
    assert!(dns.contains("could not connect to the API at no-such-host.invalid") && dns.contains("check the host's name"), "{dns}");
    let plain = Api::one_row();
    let https = failed(&plain.url.replace("http://", "https://"));
    assert!(https.contains("whether the URL should begin with http://"), "{https}");
}

#[test]
fn results_go_where_they_are_told_whatever_is_there() {
    let (api, folder) = (Api::one_row(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let run = |file: &str| Run::backfill(&api).days(DAY, DAY).into(path("lake")).args(["--result-file", file]);
    run("/dev/null").ok();
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    // a link stays one, and what it names is written
    std::fs::write(path("real.json"), "old").unwrap();
    std::os::unix::fs::symlink(path("real.json"), path("link.json")).unwrap();
    run(&path("link.json")).ok();
    assert!(std::fs::symlink_metadata(path("link.json")).unwrap().is_symlink());
    assert!(std::fs::read_to_string(path("real.json")).unwrap().starts_with('{'));
    // a pipe is written to
    assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
    let pipe = path("pipe");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        std::fs::File::open(pipe).unwrap().read_to_string(&mut text).map(|_| text).unwrap()
    });
    run(&path("pipe")).ok();
    assert!(reader.join().unwrap().starts_with('{'));
    // what could not be written is found out before the run
    let requests = api.settlements().len();
    run("/proc/result.json").exits(2);
    run("/").exits(2);
    assert_eq!(api.settlements().len(), requests);
}

#[test]
fn a_closed_terminal_ends_a_run_as_sigterm_does_unless_nohup_says_otherwise() {
    let started = |program: &[&str]| {
        let api = Api::new(|request| {
            std::thread::sleep(Duration::from_millis(300));
            Reply::json(envelope(&[row(request.date(), &[])]))
        });
        let lake = tempfile::tempdir().unwrap();
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).args(["backfill", "--base-url", &api.url, "--api-id", "m1", "--rate-limit", "0", "--concurrency", "1"]);
        command.args(["--from", DAY, "--to", "2024-01-10", "--dest"]).arg(lake.path()).env("COOKIEPAY_API_KEY", KEY);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        while api.settlements().len() < 2 {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap().success());
        Ran::from(child.wait_with_output().unwrap())
    };
    let binary = env!("CARGO_BIN_EXE_cookiepay-etl");
    // whoever runs the tests may ignore the signal
    let ran = started(&["env", "--default-signal=HUP", binary]).exits(129);
    let result = ran.result();
    assert_eq!((&result["status"], &result["exit_code"]), (&"interrupted".into(), &129.into()));
    assert!(result["dates"]["not_attempted"].as_u64().unwrap() > 0, "{ran:?}");
    let ran = started(&["nohup", binary]).exits(0);
    assert_eq!(ran.result()["dates"]["published"], 6);
}

#[test]
fn what_is_wrong_in_a_settings_file_is_stated_in_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("etl.toml");
    for (text, message) in [
        ("concurrency = \"8\"\n", "line 1 of the settings file: concurrency must be a whole number, without quotes"),
        ("\nkeep_raw = \"yes\"\n", "line 2 of the settings file: keep_raw must be true or false, without quotes"),
        ("dest = 5\n", "dest must be text in quotes"),
        ("empty_codes = \"E008\"\n", "empty_codes must be a list"),
        ("env = \"prod\"\n", "env must be one of live, sandbox, simulator, and is \"prod\""),
        ("destt = \"x\"\n", "unknown key `destt`: did you mean `dest`?"),
        ("zzz = 1\n", "unknown key `zzz`: keys are the flags' names with _ for -"),
        ("since = 5\n", "since must be a date such as \"2024-01-31\""),
        ("[[merchant]]\nname = \"a\"\napi_idd = \"m1\"\n", "unknown key `api_idd`: did you mean `api_id`?"),
    ] {
        std::fs::write(&path, text).unwrap();
        let ran = Run::new("sync").args(["--dest", "x", "--config"]).arg(&path).exits(2);
        let error = ran.result()["error"].as_str().unwrap().replace(&format!(" {}", path.display()), "");
        assert!(error.contains(message), "{text:?}: {error}");
        for jargon in ["u16", "u32", "invalid type", "variant", "sequence"] {
            assert!(!error.contains(jargon), "{error}");
        }
    }
}

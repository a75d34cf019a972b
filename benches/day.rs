//! What each step of a day costs, on one response of the simulator. `cargo bench --bench day` prints
//! the time a step takes for all the rows, and bytes or rows a second.

use std::hint::black_box;
use std::io::{self, BufReader, Cursor};
use std::net::{Ipv4Addr, SocketAddr};

use arrow_array::RecordBatch;
use chrono::{DateTime, NaiveDate};
use cookiepay_etl::cookiepay::decode::{Charset, TextReader};
use cookiepay_etl::cookiepay::envelope;
use cookiepay_etl::http;
use cookiepay_etl::lake::record::DayRecord;
use cookiepay_etl::lake::writer::DayWriter;
use cookiepay_etl::settlement::batch::{BatchBuilder, DayContext};
use cookiepay_etl::settlement::totals::ArrayTotals;
use cookiepay_etl::settlement::values::{AMOUNT, parse_date, parse_decimal};
use cookiepay_etl::simulator::{Options, Simulator, SimulatorArgs};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};

const ROWS: u64 = 100_000;
const PAY_DATE: NaiveDate = NaiveDate::from_ymd_opt(2024, 1, 5).expect("a date");

/// One pay date as the simulator serves it.
fn response() -> Vec<u8> {
    let args = SimulatorArgs { sim_rows: Some(format!("={ROWS}")), ..SimulatorArgs::default() };
    let options = Options::try_from(&args).expect("the simulator's options");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let simulator = Simulator::start(options, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a simulator");
        let (id, key) = simulator.credentials();
        let root = simulator.base_url();
        let client = http::client(&root.parse().expect("a URL")).build().expect("a client");
        let post = async |path: &str, token: &str, body: Value| {
            let request = client.post(format!("{root}/{path}")).header("TOKEN", token).header("Content-Type", "application/json");
            request.body(body.to_string()).send().await.expect("a response").bytes().await.expect("all of it")
        };
        let token: Value =
            serde_json::from_slice(&post("payAuth/token", "", json!({ "pay2_id": id, "pay2_key": key })).await).expect("a token");
        let token = token["TOKEN"].as_str().expect("a token");
        let response = post("api/settlement", token, json!({ "API_ID": id, "DATE": PAY_DATE.format("%Y%m%d").to_string() })).await;
        simulator.stop().await;
        response.to_vec()
    })
}

fn reader(response: &[u8]) -> TextReader {
    let charset = Charset::from_content_type(None).expect("UTF-8");
    // in blocks, as it comes from the network: what is read is still in the cache
    let body = BufReader::with_capacity(64 << 10, Cursor::new(response.to_vec()));
    TextReader::new(body, charset, u64::MAX).expect("text")
}

fn split(response: &[u8]) -> u64 {
    let read = envelope::read(reader(response), &[], |_, row| {
        black_box(row);
        Ok::<_, ()>(())
    });
    read.expect("rows").rows
}

fn normalize(response: &[u8]) -> Vec<RecordBatch> {
    let context = DayContext {
        merchant_id: "simulator".into(),
        pay_date: PAY_DATE,
        extracted_at: DateTime::UNIX_EPOCH,
        run_id: "00000000-0000-7000-8000-000000000000".into(),
    };
    let mut builder = BatchBuilder::new(context);
    let mut batches = Vec::new();
    let read = envelope::read(reader(response), &[], |position, row| {
        builder.push(position, row.source()).expect("a good row");
        if builder.is_full() {
            batches.push(builder.take().expect("a batch"));
        }
        Ok::<_, ()>(())
    });
    read.expect("rows");
    batches.push(builder.take().expect("a batch"));
    batches
}

fn totals(batches: &[RecordBatch]) -> ArrayTotals {
    let mut totals = ArrayTotals::default();
    for batch in batches {
        totals.add(batch);
    }
    totals
}

fn encode(batches: &[RecordBatch], record: DayRecord) -> u64 {
    let mut writer = DayWriter::new(io::sink()).expect("a writer");
    for batch in batches {
        writer.write(batch).expect("written");
    }
    writer.finish(record).expect("a file").1
}

fn record() -> DayRecord {
    serde_json::from_value(json!({
        "schema_version": 1, "schema_fingerprint": "", "tool_version": "", "environment": "simulator", "source_url": "",
        "merchant_id": "simulator", "pay_date": PAY_DATE, "run_id": "", "extracted_at": DateTime::UNIX_EPOCH,
        "result_code": "0000", "result_message": null, "state": "closed", "open_because": [], "rows": ROWS, "pending_rows": 0,
        "rejected_rows": 0, "sums": {}, "nulls": {}, "unbalanced_rows": 0, "digest": "", "seal": "",
    }))
    .expect("a record")
}

fn day(criterion: &mut Criterion) {
    let response = response();
    let batches = normalize(&response);
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>() as u64, ROWS);

    let mut group = criterion.benchmark_group("day");
    group.sample_size(20).throughput(Throughput::Bytes(response.len() as u64));
    // the floor under any reader: the same bytes, copied once
    group.bench_function("copy", |bench| bench.iter(|| response.clone()));
    group.bench_function("split", |bench| bench.iter(|| split(&response)));
    group.throughput(Throughput::Elements(ROWS));
    group.bench_function("split and normalize", |bench| bench.iter(|| normalize(&response)));
    group.bench_function("totals and digest", |bench| bench.iter(|| totals(&batches)));
    group.bench_function("encode", |bench| bench.iter(|| encode(&batches, record())));
    group.finish();
}

fn values(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("value");
    for text in ["12345", "-1234.50", "1,234,567", "-", ""] {
        group.bench_function(format!("amount {text:?}"), |bench| bench.iter(|| parse_decimal(black_box(text), AMOUNT)));
    }
    for text in ["20240105", "2024-01-05"] {
        group.bench_function(format!("date {text:?}"), |bench| bench.iter(|| parse_date(black_box(text))));
    }
    group.finish();
}

criterion_group!(benches, day, values);
criterion_main!(benches);

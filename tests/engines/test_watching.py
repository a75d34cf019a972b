"""Watching it, by what watches in earnest: node_exporter reads the metrics file, OpenLineage's own client the events."""

import json
import subprocess
import time
import urllib.request
from datetime import date

import attrs
import pytest
from openlineage.client import event_v2, facet_v2

import etl
from processes import die_with_parent
from rgw import free_port
from serving import Handler, serving

WEEK = {"first": date(2024, 1, 1), "last": date(2024, 1, 7)}
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def exporter(tmp_path):
    """node_exporter over a folder of metrics files; what it exports of ours, by series."""
    folder, port = tmp_path / "textfiles", free_port()
    folder.mkdir()
    only = ("--collector.disable-defaults", "--collector.textfile", f"--collector.textfile.directory={folder}")
    command = ["prometheus-node-exporter", *only, f"--web.listen-address=127.0.0.1:{port}"]
    with open(tmp_path / "exporter.log", "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)

    def scrape():
        deadline = time.monotonic() + 20
        while True:
            try:
                with DIRECT.open(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                    lines = answer.read().decode().splitlines()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "exporter.log").read_text()
                time.sleep(0.1)
        series = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in series if name.startswith(("cookiepay_etl_", "node_textfile_scrape_error"))}

    yield folder / "cookiepay.prom", scrape
    process.kill()
    process.wait()


def test_node_exporter_takes_the_metrics_file(exporter, tmp_path):
    file, scrape = exporter
    run = etl.backfill(tmp_path / "lake", "--metrics-file", file, **WEEK)
    assert run.code == 0, run
    found = scrape()
    assert found["node_textfile_scrape_error"] == 0
    job = f'command="backfill",lake="{tmp_path / "lake"}"'
    of = f'{job},merchant_id="simulator"'
    assert found[f'cookiepay_etl_last_run_days{{{of},state="published"}}'] == 7
    assert found[f"cookiepay_etl_last_run_rows{{{of}}}"] == run.result["rows"] > 0
    assert found[f"cookiepay_etl_last_run_exit_code{{{job}}}"] == 0
    assert abs(found[f"cookiepay_etl_last_success_timestamp_seconds{{{job}}}"] - time.time()) < 60


class Collector(Handler):
    def do_POST(self):
        self.server.events.append((self.path, self.headers.get("Authorization"), json.loads(self.body())))
        self.answer(201)


@pytest.fixture
def collector():
    with serving(Collector) as server:
        server.events = []
        yield server


FACETS = {
    "parent": facet_v2.parent_run.ParentRunFacet,
    "processing_engine": facet_v2.processing_engine_run.ProcessingEngineRunFacet,
    "errorMessage": facet_v2.error_message_run.ErrorMessageRunFacet,
    "jobType": facet_v2.job_type_job.JobTypeJobFacet,
    "schema": facet_v2.schema_dataset.SchemaDatasetFacet,
    "outputStatistics": facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
}


def check_facets(facets):
    """Each is of the schema that the client's own class of it states, with fields that the class knows."""
    for name, content in facets.items():
        kind = FACETS[name]
        content = dict(content)
        assert content.pop("_schemaURL") == kind._get_schema(), name
        known = {field.name: field for field in attrs.fields(kind)}
        assert set(content) <= set(known), name
        needed = {name for name, field in known.items() if field.default is attrs.NOTHING}
        assert needed <= set(content), name


def test_the_openlineage_client_knows_every_event(collector, tmp_path):
    env = {
        "OPENLINEAGE_URL": collector.url,
        "OPENLINEAGE_API_KEY": "lineage-key",
        "OPENLINEAGE_NAMESPACE": "finance",
        "OPENLINEAGE_PARENT_ID": "airflow/daily.sync/0199f0a0-0000-7000-8000-000000000001",
    }
    whole = etl.backfill(tmp_path / "lake", env=env, **WEEK)
    broken = etl.backfill(tmp_path / "lake", "--refetch", "all", "--retries", 0, "--sim-fault", "503@2024-01-05", env=env, **WEEK)
    assert (whole.code, broken.code) == (0, 3), broken
    assert [event["eventType"] for _, _, event in collector.events] == ["START", "COMPLETE", "START", "FAIL"]
    for path, authorization, event in collector.events:
        assert (path, authorization) == ("/api/v1/lineage", "Bearer lineage-key")
        # the client's classes refuse what is not of their form
        job = event_v2.Job(**{key: event["job"][key] for key in ("namespace", "name")})
        outputs = [event_v2.OutputDataset(**output) for output in event["outputs"]]
        run = event_v2.Run(runId=event["run"]["runId"])
        state = event_v2.RunState[event["eventType"]]
        stated = event_v2.RunEvent(
            eventTime=event["eventTime"], run=run, job=job, eventType=state, producer=event["producer"], inputs=[], outputs=outputs
        )
        assert event["schemaURL"] == event_v2.RunEvent._get_schema()
        assert stated.job.name == "cookiepay-etl.backfill"
        check_facets(event["run"]["facets"])
        check_facets(event["job"]["facets"])
        for output in event["outputs"]:
            check_facets(output["facets"] | output["outputFacets"])
    written = collector.events[1][2]["outputs"][0]["outputFacets"]["outputStatistics"]
    assert (written["rowCount"], written["fileCount"], written["size"]) == (whole.result["rows"], 7, whole.result["bytes_written"])

"""What the checks share: a filled lake, a real S3 server, a bucket of their own."""

import signal

import boto3
import pytest
from botocore.config import Config

import books
import etl
import rgw

# ended from outside, the checks end what they started
signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="module")
def quarter(tmp_path_factory):
    """A quarter in a folder whose name wants quoting, and the result of the run that filled it."""
    lake = tmp_path_factory.mktemp("quarter") / "the lake's 정산"
    run = etl.backfill(lake)
    assert run.code == 0, run
    return lake, run


@pytest.fixture(scope="session")
def shops(tmp_path_factory):
    """The lake of two merchants' books."""
    lake = tmp_path_factory.mktemp("shops") / "the shops' 장부"
    with books.api() as api:
        for merchant in books.MERCHANTS:
            for first, last in ((books.FIRST, books.LAST), (books.AHEAD, books.AHEAD)):
                account = ("--base-url", api.url, "--api-id", merchant)
                days = ("--from", first, "--to", last, "--rate-limit", 0)
                run = etl.run("backfill", *account, *days, "--dest", lake, env={"COOKIEPAY_API_KEY": "a key"})
                assert run.code == 0, run
    return lake


@pytest.fixture(scope="session")
def gateway():
    with rgw.Gateway() as gateway:
        yield gateway


class Bucket:
    """A bucket of its own, and the settings a user reaches it with."""

    def __init__(self, endpoint, name):
        self.name = name
        self.env = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": rgw.ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": rgw.SECRET_KEY,
            "AWS_REGION": "us-east-1",
        }
        self.client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=rgw.ACCESS_KEY,
            aws_secret_access_key=rgw.SECRET_KEY,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, proxies={}),
        )
        self.client.create_bucket(Bucket=name)

    def url(self, prefix):
        return f"s3://{self.name}/{prefix}"

    def names(self):
        """Every object in the bucket, whosever it is."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def read(self, name):
        return self.client.get_object(Bucket=self.name, Key=name)["Body"].read()

    def uploads(self):
        """Multipart uploads that were begun and not ended."""
        return self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])


@pytest.fixture
def bucket(gateway, request):
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name).strip("-")
    return Bucket(gateway.endpoint, name.lower()[:63].strip("-"))

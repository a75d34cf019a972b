"""A real S3 server, and a bucket on it for each check."""

import boto3
import pytest
from botocore.config import Config

import rgw


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
        """Every object in the bucket, whosever it is, apart from the ledger indexes, which are copies."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return [key for key in keys if "/ledger/" not in f"/{key}"]

    def read(self, name):
        return self.client.get_object(Bucket=self.name, Key=name)["Body"].read()

    def uploads(self):
        """Multipart uploads that were begun and not ended."""
        return self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])


@pytest.fixture
def bucket(gateway, request):
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name).strip("-")
    return Bucket(gateway.endpoint, name.lower()[:63].strip("-"))

"""What Airflow reads about the provider: where its classes are, and how the connection's form looks. Imports nothing of Airflow."""

_INTEGRATION = "CookiePay"
_HOOK = "cookiepay_etl.airflow.hooks.CookiepayHook"


def _field(label, description, **schema):
    return {"label": label, "description": description, "schema": {"type": ["string", "null"], **schema}}


def get_provider_info():
    """The provider, as Airflow's `provider_info.schema.json` wants it."""
    return {
        "package-name": "cookiepay-etl",
        "name": "CookiePay",
        "description": "Settlements of CookiePay (정산대사) to a Parquet lake, one pay date at a time",
        "integrations": [
            {"integration-name": _INTEGRATION, "external-doc-url": "https://www.cookiepayments.com", "tags": ["service"]}
        ],
        "hooks": [{"integration-name": _INTEGRATION, "python-modules": ["cookiepay_etl.airflow.hooks"]}],
        "operators": [{"integration-name": _INTEGRATION, "python-modules": ["cookiepay_etl.airflow.operators"]}],
        "sensors": [{"integration-name": _INTEGRATION, "python-modules": ["cookiepay_etl.airflow.sensors"]}],
        "triggers": [{"integration-name": _INTEGRATION, "python-modules": ["cookiepay_etl.airflow.triggers"]}],
        "connection-types": [
            {
                "connection-type": "cookiepay",
                "hook-class-name": _HOOK,
                "hook-name": "CookiePay",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema"],
                    "relabeling": {"login": "API ID", "password": "API key", "host": "Base URL"},
                    "placeholders": {
                        "login": "your-api-id",
                        # the API's root is host and port, because a test in the UI sends a stored key to no other host and port
                        "host": "only for another root than the environment's",
                        # Airflow 3.3.1 and 3.3.2 refuse to test a connection without one (apache/airflow#73298)
                        "port": "443",
                    },
                },
                "conn-fields": {
                    "dest": _field("Lake", "A folder of the workers, or s3://bucket/prefix with the workers' AWS settings"),
                    "env": _field("Environment", "Which API to use", default="live", enum=["live", "sandbox", "simulator"]),
                    "api_key_file": _field("API key file", "A file of the workers that holds the key, in place of the API key"),
                    "config": _field("Settings file", "A TOML file of the workers: several merchants, rates, time limits"),
                },
            }
        ],
    }

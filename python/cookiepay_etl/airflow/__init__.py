"""The Airflow provider: a connection type, a hook, an operator and a sensor.

Airflow finds it by the wheel's entry point. It is not among the wheel's requirements: import these modules where Airflow is installed.
"""

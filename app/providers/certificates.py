"""Certificates that clients send, looked at before they are kept."""

from cryptography.x509 import load_pem_x509_certificates


def check_certificates(text: str) -> None:
    """Raises ValueError for what is no PEM with at least one certificate."""
    try:
        load_pem_x509_certificates(text.encode())
    except ValueError as error:
        raise ValueError("This is no certificate in PEM (`-----BEGIN CERTIFICATE-----`).") from error

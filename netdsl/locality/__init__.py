"""Locality: what each learning rule reads, through which channels, and whether it may."""

from netdsl.locality.certificate import Certificate, RuleCertificate, certify

__all__ = ["Certificate", "RuleCertificate", "certify"]

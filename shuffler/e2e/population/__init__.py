"""Devices in software: they check in, train, upload and report as a phone does, and misbehave when they are told to."""

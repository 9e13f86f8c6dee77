"""Tests of the playground in a headless Chromium: `make test-browser`."""

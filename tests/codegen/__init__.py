"""Tests of generated text: names, places, printers."""

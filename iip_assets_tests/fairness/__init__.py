"""Tests of the robustness benchmark."""

#!/usr/bin/env python3
"""winnow model as a user calls it, pulling from the fake hub. Python's standard library only.

    WINNOW=build/winnow python3 tests/cli/test_model_cli.py

How the transfer behaves when a server misbehaves is test_hub.c's; here it is what the user sees.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
WINNOW = os.environ.get("WINNOW", os.path.join(ROOT, "build", "winnow"))
RERANKER = os.path.join(ROOT, "models", "reranker-minilm-l6-v0")


class Model(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.hub = subprocess.Popen([sys.executable, os.path.join(HERE, "fake_hub.py")],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        port, cls.cdn = cls.hub.stdout.readline().split()
        cls.endpoint = f"http://127.0.0.1:{port}"

    @classmethod
    def tearDownClass(cls):
        cls.hub.stdin.close()  # which ends it
        cls.hub.wait()
        cls.hub.stdout.close()

    def setUp(self):
        self.cache = tempfile.mkdtemp(prefix="winnow-model-cli-")
        self.addCleanup(shutil.rmtree, self.cache)

    def run_model(self, *args, **env):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        return subprocess.run([WINNOW, "model", *args], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120,
                              env={**clean, "WINNOW_CACHE": self.cache, "no_proxy": "127.0.0.1",
                                   "HF_ENDPOINT": self.endpoint, **env})

    def fails(self, result, code, *words):
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def test_pull_prints_the_place_and_list_and_path_find_it(self):
        r = self.run_model("pull", "acme/redirect")
        self.assertEqual(r.returncode, 0, r.stderr)
        place = r.stdout.strip()
        self.assertTrue(os.path.isfile(os.path.join(place, "model.safetensors")))
        self.assertEqual(self.run_model("path", "redirect").stdout.strip(), place)
        self.assertEqual(self.run_model("path", "acme/redirect").stdout.strip(), place)
        self.assertEqual(self.run_model("list").stdout.split(), ["redirect", place])

    def test_pull_draws_nothing_where_there_is_no_terminal(self):
        r = self.run_model("pull", "acme/plain")
        self.assertEqual(r.stderr, "")

    def test_pull_resumes_a_broken_transfer(self):
        r = self.run_model("pull", "acme/broken")
        self.assertEqual(r.returncode, 0, r.stderr)

    def test_pull_of_a_gated_model_says_to_set_the_token(self):
        self.fails(self.run_model("pull", "acme/gated"), 1, "401", "HF_TOKEN")
        self.fails(self.run_model("pull", "acme/gated", HF_TOKEN="hf_bad"), 1, "403")
        self.assertEqual(self.run_model("pull", "acme/gated", HF_TOKEN="hf_good").returncode, 0)

    def test_pull_of_what_is_not_there_names_it(self):
        self.fails(self.run_model("pull", "acme/nowhere"), 1, "acme/nowhere", "main")
        self.fails(self.run_model("pull", "acme/plain", "--revision", "no-such"), 1, "no-such")

    def test_pull_of_wrong_bytes_fails_and_leaves_no_model(self):
        self.fails(self.run_model("pull", "acme/wrong-hash"), 1, "SHA-256")
        self.assertEqual(self.run_model("list").stdout, "")

    def test_pull_of_hostile_names_is_refused(self):
        self.fails(self.run_model("pull", "acme/hostile", "--revision", "dotdot"), 1, "../evil")

    def test_pull_offline_says_so(self):
        self.fails(self.run_model("pull", "acme/plain", HF_ENDPOINT="http://127.0.0.1:9"), 1,
                   "cannot reach", "offline")

    def test_wrong_use_is_exit_code_2(self):
        for args in ((), ("pull",), ("pull", "a b"), ("pull", "../x"), ("nonsense", "x"),
                     ("path",), ("list", "x"), ("import", RERANKER, "--name", "../x")):
            r = self.run_model(*args)
            self.assertEqual(r.returncode, 2, (args, r.stderr))

    def test_list_of_an_empty_cache_says_what_to_do(self):
        r = self.run_model("list")
        self.assertEqual(r.returncode, 0)
        self.assertIn("winnow model pull", r.stderr)

    def test_import_makes_a_name_that_info_knows(self):
        r = self.run_model("import", RERANKER, "--name", "mine")
        self.assertEqual(r.returncode, 0, r.stderr)
        info = self.run_model("info", "mine")
        self.assertEqual(info.returncode, 0, info.stderr)
        self.assertRegex(info.stdout, re.compile(r"^kind +cross-encoder$", re.M))

    def test_import_of_what_is_no_model_fails(self):
        with tempfile.TemporaryDirectory() as empty:
            self.fails(self.run_model("import", empty), 1, "config.json")
        self.fails(self.run_model("import", "/no/such/directory"), 1, "/no/such/directory")


if __name__ == "__main__":
    unittest.main()

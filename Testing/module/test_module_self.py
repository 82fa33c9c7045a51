"""The module's own test, as Slicer's test runner would run it."""

import unittest


def test_the_modules_self_test_passes(host):
    import sys

    module = sys.modules["DeepDRRSlicer"]
    suite = unittest.TestLoader().loadTestsFromTestCase(module.DeepDRRSlicerTest)
    assert suite.countTestCases() >= 3
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    assert result.wasSuccessful() and not result.skipped

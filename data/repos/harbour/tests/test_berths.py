import unittest
from datetime import date

from harbour.berths import fee, free_berths, nights


class Berths(unittest.TestCase):
    def test_free(self):
        self.assertEqual(free_berths([1, 2, 3], [{"berth": 2}]), [1, 3])

    def test_a_stay_of_one_night(self):
        self.assertEqual(nights(date(2026, 5, 1), date(2026, 5, 2)), 1)

    def test_fee(self):
        self.assertEqual(fee({"length": 60}, 2), 80)

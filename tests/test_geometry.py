from scripts.geometry import is_multiple, nearest_multiple


def test_nearest_multiple_by_trying_all():
    for n in range(1, 100):
        for u in (1, 2, 3, 8, 16):
            best = min(range(u, 200, u), key=lambda m: (abs(m - n), -m))
            assert nearest_multiple([n], [u]) == [best]
            assert is_multiple([n], [u]) == (n in range(0, 200, u))

from lit_a1.analysis.rates import rated


def test_share_with_its_interval() -> None:
    # Wilson's interval of 1 in 10 is 1.79 % to 40.42 %, that of 0 in 40 ends at 1.96^2 / (40 + 1.96^2)
    assert rated(0.1, 10) == "10.00 % (95 % interval 1.79 % to 40.42 %)"
    assert rated(0.0, 40) == "0.00 % (95 % interval 0.00 % to 8.76 %)"

from src.models.net import Net


def test_it_has_a_layer():
    assert Net().layer.in_features == 4

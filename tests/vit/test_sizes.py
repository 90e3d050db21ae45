"""Named sizes, and sizes given by a dictionary."""

import pytest

from mae_transfer.errors import UserError
from mae_transfer.vit.sizes import SIZES, Size, name_of, resolve_size


@pytest.mark.parametrize(
    'name, numbers',
    [
        ('tiny', (192, 12, 3, 16)),
        ('small', (384, 12, 6, 16)),
        ('base', (768, 12, 12, 16)),
        ('large', (1024, 24, 16, 16)),
        ('huge', (1280, 32, 16, 14)),
    ],
)
def test_names_have_the_papers_sizes(name, numbers):
    size = resolve_size(name)
    assert (size.embed_dim, size.depth, size.num_heads, size.patch_size) == numbers
    assert size.mlp_ratio == 4
    assert set(SIZES) == {'tiny', 'small', 'base', 'large', 'huge'}


def test_a_dictionary_sets_the_sizes():
    assert resolve_size(dict(embed_dim=8, depth=2, num_heads=2, mlp_ratio=3)) == Size(8, 2, 2, 16, 3)


@pytest.mark.parametrize('arch', [*SIZES, '192x5x3', '8x2x2'])
def test_the_name_of_a_size_describes_it(arch):
    assert name_of(resolve_size(arch)) == arch


def test_a_size_is_returned_as_it_is():
    size = Size(8, 2, 2)
    assert resolve_size(size) is size


@pytest.mark.parametrize(
    'arch, words',
    [
        ('gigantic', "unknown arch 'gigantic': choose one of tiny, small, base, large, huge"),
        (dict(embed_dim=8, depth=2, num_heads=2, heads=3), "unknown arch field 'heads'"),
        (dict(embed_dim=8, num_heads=2), "arch has no 'depth'"),
        (dict(embed_dim=10, depth=1, num_heads=2), 'multiple of num_heads and of 4'),
        (dict(embed_dim=8, depth=1, num_heads=3), 'multiple of num_heads and of 4'),
        (dict(embed_dim=8, depth=0, num_heads=2), 'positive'),
    ],
)
def test_a_wrong_size_is_a_one_line_error(arch, words):
    with pytest.raises(UserError, match=words) as caught:
        resolve_size(arch)
    assert '\n' not in str(caught.value)

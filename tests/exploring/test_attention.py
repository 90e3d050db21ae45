import pytest
import torch

from mae_transfer.errors import UserError
from mae_transfer.exploring.attention import attention_from
from tests.helpers import enlarge, small_vit

IMAGE = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def block_input(vit, block):
    """What the attention of a block is given, in the plain way of its definition."""
    seen = []
    handle = vit.blocks[block].norm1.register_forward_hook(lambda module, inputs, output: seen.append(output))
    vit.tokens(IMAGE)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize('block', [0, -1])
@torch.no_grad()
def test_it_is_the_softmax_of_queries_and_keys(block):
    torch.manual_seed(0)
    vit = enlarge(small_vit()).eval()
    shares = attention_from(vit, IMAGE, 6, block)
    attention, tokens = vit.blocks[block].attn, block_input(vit, block)
    qkv = tokens @ attention.qkv.weight.T + attention.qkv.bias
    queries, keys, _ = (part.unflatten(2, (2, 8)).transpose(1, 2)[0] for part in qkv.chunk(3, 2))
    wanted = torch.stack([(keys[head] @ queries[head, 1 + 6] / 8**0.5).softmax(0) for head in range(2)])
    assert shares.shape == (2, 17)
    torch.testing.assert_close(shares, wanted)


@pytest.mark.parametrize(
    ('settings', 'special'),
    [
        (dict(design=dict(registers=3, layer_scale=0.1)), 4),
        (dict(design=dict(qk_norm=True)), 1),
        (dict(rel_pos='table'), 1),
        (dict(rel_pos='decomposed', class_token=False), 0),
        (dict(design='dinov3'), 5),
    ],
)
@torch.no_grad()
def test_it_is_what_the_block_mixes_values_with_whatever_its_positions(settings, special):
    """The attended values of the patch, before the last projection, are the shares times the values."""
    torch.manual_seed(0)
    vit = enlarge(small_vit(**settings)).eval()
    shares = attention_from(vit, IMAGE, 9)
    assert shares.shape == (2, special + 16) and shares.min() >= 0
    torch.testing.assert_close(shares.sum(1), torch.ones(2))
    attention, tokens = vit.blocks[-1].attn, block_input(vit, -1)
    attended = []
    handle = attention.norm.register_forward_pre_hook(lambda module, inputs: attended.append(inputs[0]))
    vit.tokens(IMAGE)
    handle.remove()
    bias = 0 if attention.bias is None else attention.bias
    values = (tokens @ attention.qkv.weight.T + bias)[0, :, 32:].unflatten(1, (2, 8))
    mixed = torch.einsum('hn,nhd->hd', shares, values).flatten()
    torch.testing.assert_close(attended[0][0, special + 9], mixed, rtol=1e-4, atol=1e-4)


def test_a_block_with_windows_is_refused():
    vit = small_vit(class_token=False, window_size=2, global_blocks=(1,)).eval()
    with pytest.raises(UserError, match='attends within windows of 2 x 2 patches: .* blocks'):
        attention_from(vit, IMAGE, 0)
    assert attention_from(vit, IMAGE, 0, block=1).shape == (2, 16)


def test_the_model_is_left_as_it_was():
    vit = enlarge(small_vit()).eval()
    attention_from(vit, IMAGE, 0)
    assert not vit.blocks[-1].attn._forward_pre_hooks

"""What a model folder says beside its weights."""

import json

import pytest

from mae_transfer.vit.weights.folder_config import FolderConfig, config_beside, folder_config


def write(folder, **files):
    for name, content in files.items():
        (folder / f'{name}.json').write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / 'model.safetensors'


def test_a_folder_of_transformers(tmp_path):
    config = dict(num_attention_heads=12, layer_norm_eps=1e-12, hidden_act='gelu', image_size=224, patch_size=16)
    images = dict(image_mean=[0.5, 0.5, 0.5], image_std=[0.5, 0.25, 0.5])
    path = write(tmp_path, config=config, preprocessor_config=images)
    assert folder_config(path) == FolderConfig(12, 1e-12, 'gelu', (224, 224), (127.5,) * 3, (127.5, 63.75, 127.5))


def test_the_images_part_of_a_model_of_text_and_images(tmp_path):
    vision = dict(num_attention_heads=16, layer_norm_eps=1e-5, hidden_act='quick_gelu', image_size=[336, 224])
    path = write(tmp_path, config=dict(num_attention_heads=8, hidden_act='relu', vision_config=vision))
    assert folder_config(path) == FolderConfig(16, 1e-5, 'quick_gelu', (336, 224)) and config_beside(path) == vision


def test_a_folder_of_timm(tmp_path):
    stated = dict(input_size=[3, 224, 192], mean=[0.5], std=[0.25])
    config = dict(architecture='vit', pretrained_cfg=stated, model_args=dict(num_heads=6))
    assert folder_config(write(tmp_path, config=config)) == FolderConfig(6, None, None, (224, 192), (127.5,), (63.75,))


@pytest.mark.parametrize(
    'config',
    ['', '[1]', '{', dict(image_size='224', num_attention_heads='12', hidden_act='swish'), dict(pretrained_cfg=3)],
)
def test_what_is_not_stated_is_none(config, tmp_path):
    assert folder_config(write(tmp_path, config=config, preprocessor_config='null')) == FolderConfig()


def test_no_folder_says_nothing(tmp_path):
    assert folder_config(tmp_path / 'model.safetensors') == FolderConfig()

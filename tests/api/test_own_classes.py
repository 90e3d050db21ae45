"""Names of classes that are read from the data."""

import pytest

from mae_transfer.api.own_classes import coco_classes, label_map_classes, photo_classes
from mae_transfer.errors import UserError
from mae_transfer.settings import read_config
from tests.own_data import coco_content, photo
from tests.tools.commands import REPOSITORY


def test_categories_in_the_order_of_the_file():
    assert coco_classes(coco_content(), 'a.json') == ('traffic light', 'dog', 'cow')


def test_roboflow_s_root_category_is_left_out():
    content = coco_content()
    content['categories'] = [dict(id=0, name='pets', supercategory='none')] + [
        dict(category, supercategory='pets') for category in content['categories']
    ]
    assert coco_classes(content, 'a.json') == ('traffic light', 'dog', 'cow')
    content['annotations'][0]['category_id'] = 0  # it is used
    assert coco_classes(content, 'a.json')[0] == 'pets'


@pytest.mark.parametrize('categories', [None, [], ['dog'], [dict(id=1)]])
def test_a_file_without_names_is_one_line(categories):
    with pytest.raises(UserError, match="a.json has no list 'categories' with a 'name' in each: give classes="):
        coco_classes(dict(categories=categories), 'a.json')


def test_names_beside_label_maps(tmp_path):
    with pytest.raises(UserError, match='read from objectInfo.*.txt or classes.txt beside the images, and there is no'):
        label_map_classes(tmp_path)
    (tmp_path / 'classes.txt').write_text('road\nopen field\n')
    assert label_map_classes(tmp_path) == ('road', 'open field')
    (tmp_path / 'objectInfo2.txt').write_text('Idx\tName\n1\ta\n')
    with pytest.raises(UserError, match=r'and found classes.txt, objectInfo2.txt: give classes='):
        label_map_classes(tmp_path)


def test_ade20k_s_table_with_the_first_of_synonyms_unless_it_is_used_twice(tmp_path):
    rows = ['wall', 'building, edifice', 'screen, a', 'screen, b']
    table = '\n'.join(f'{number}\t.1\t{name}' for number, name in enumerate(rows, 1))
    (tmp_path / 'objectInfo4.txt').write_text(f'Idx\tRatio\tName\n{table}\n')
    assert label_map_classes(tmp_path) == ('wall', 'building', 'screen, a', 'screen, b')


@pytest.mark.parametrize(
    'text, says', [('Idx Name\n1 a', 'is no table with tabs'), ('Idx\tName\n1\ta\n3\tb', 'are not 1 to 2')]
)
def test_a_table_that_is_none_is_one_line(text, says, tmp_path):
    (tmp_path / 'objectInfo.txt').write_text(text)
    with pytest.raises(UserError, match=says):
        label_map_classes(tmp_path)


@pytest.mark.parametrize('name', ['in1k_finetune_vitb', 'in1k_knn_vitb'])
def test_class_folders(name, tmp_path):
    for folder in ('train/b', 'train/a', 'val/a', 'val/b'):
        photo(tmp_path / folder / '0.jpg', (8, 8))
    cfg = read_config(REPOSITORY / f'configs/{name}.py', [f'data_root={tmp_path}'])
    assert photo_classes(cfg) == ('a', 'b')

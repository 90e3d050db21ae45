"""List files as other programs and systems write them: encodings, separators, columns, quotes, headers, comments."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

import pytest

from mae_transfer.data.files.lists import read_list, read_text
from mae_transfer.errors import UserError
from mae_transfer.paths import shown

ENCODINGS = {
    'utf-8': lambda text: text.encode(),
    'utf-8-sig': lambda text: text.encode('utf-8-sig'),
    'utf-16-le': lambda text: codecs.BOM_UTF16_LE + text.encode('utf-16-le'),
    'utf-16-be': lambda text: codecs.BOM_UTF16_BE + text.encode('utf-16-be'),
    'utf-32': lambda text: text.encode('utf-32'),
}


def read(folder: Path, content: str | bytes, labelled: bool = True, exist: bool = True):
    """(name, label) of each line; all files exist unless ``exist`` is False."""
    file = folder / 'list.txt'
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    if exist:
        for name in ('a.jpg', 'b c.jpg', 'é.jpg', 'sub/d.jpg', 'e', 'f,g.jpg'):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).touch()
    listing = read_list(file, folder, labelled, advice='look again')
    return list(zip(listing.names, listing.labels)) if labelled else listing.names


@pytest.mark.parametrize('end', ['\n', '\r\n', '\r'])
@pytest.mark.parametrize('encoding', ENCODINGS)
def test_the_usual_encodings_and_ends_of_lines(tmp_path, encoding, end):
    content = ENCODINGS[encoding](end.join(['a.jpg 0', '', 'é.jpg 1', '']))
    assert read(tmp_path, content) == [('a.jpg', '0'), ('é.jpg', '1')]
    assert read(tmp_path, content, labelled=False) == ['a.jpg', 'é.jpg']


def test_bytes_that_are_not_utf_8_are_names_as_they_are(tmp_path):
    name = os.fsdecode(b'caf\xe9.jpg')
    (tmp_path / name).touch()
    assert read(tmp_path, b'a.jpg x\ncaf\xe9.jpg y\n') == [('a.jpg', 'x'), (name, 'y')]


@pytest.mark.parametrize(
    'line, pair',
    [
        ('a.jpg 3', ('a.jpg', '3')),
        ('a.jpg\t3', ('a.jpg', '3')),
        ('a.jpg,3', ('a.jpg', '3')),
        ('a.jpg, 3', ('a.jpg', '3')),
        ('a.jpg ; 3', ('a.jpg', '3')),
        ('a.jpg,3,', ('a.jpg', '3')),
        ('b c.jpg 3', ('b c.jpg', '3')),
        ('b c.jpg,golden retriever', ('b c.jpg', 'golden retriever')),
        ('a.jpg\ttench, Tinca tinca', ('a.jpg', 'tench, Tinca tinca')),
        ('"b c.jpg","big, red"', ('b c.jpg', 'big, red')),
        ("'a.jpg' 'x y'", ('a.jpg', 'x y')),
        ('"a.jpg",3', ('a.jpg', '3')),
        ('./a.jpg 3', ('./a.jpg', '3')),
        ('f,g.jpg 3', ('f,g.jpg', '3')),
        ('e 3', ('e', '3')),
        ('e,3', ('e', '3')),
        ('e\tgolden retriever', ('e', 'golden retriever')),
    ],
)
def test_path_and_label_are_separated_in_any_usual_way(tmp_path, line, pair):
    assert read(tmp_path, f'a.jpg 0\n{line}\n')[1] == pair
    assert read(tmp_path, f'a.jpg 0\n{line}\n', labelled=False)[1] == pair[0]


@pytest.mark.parametrize('comment', ['#', '# path label', '## a.jpg 3', '#\ta.jpg 3'])
def test_comments_and_blank_lines_do_not_count(tmp_path, comment):
    assert read(tmp_path, f'{comment}\n \n\t\na.jpg 3\n') == [('a.jpg', '3')]


def test_a_name_may_begin_with_the_sign_of_a_comment(tmp_path):
    (tmp_path / '#1.jpg').touch()
    assert read(tmp_path, '#1.jpg 3') == [('#1.jpg', '3')]


@pytest.mark.parametrize(
    'text, pair',
    [
        ('path,label\na.jpg,cat', ('a.jpg', 'cat')),
        ('filename class\nb c.jpg cat', ('b c.jpg', 'cat')),
        ('label path\ncat b c.jpg', ('b c.jpg', 'cat')),
        ('Label;Image Path\ncat;a.jpg', ('a.jpg', 'cat')),
        (',image,category\n0,a.jpg,cat', ('a.jpg', 'cat')),
        ('filename,width,height,class,xmin\na.jpg,3,4,"big, red",7', ('a.jpg', 'big, red')),
        ('id\tlabel\ne\tcat', ('e', 'cat')),
        ('path\tclass_id\tclass\na.jpg\t3\tcat', ('a.jpg', 'cat')),
    ],
)
def test_a_first_line_may_name_the_columns(tmp_path, text, pair):
    assert read(tmp_path, text) == [pair]
    assert read(tmp_path, text, labelled=False) == [pair[0]]
    first = shown(text.partition('\n')[0])
    assert read_list(tmp_path / 'list.txt', tmp_path, True).notes == (
        f"{tmp_path}/list.txt, line 1: '{first}' is read as the names of the columns",
    )


@pytest.mark.parametrize(
    'text, says',
    [
        ('a.jpg 0\n3 a.jpg', "line 2: no label in '3 a.jpg': expected a path and a label, in this order, e.g. cats/a"),
        ('3,a.jpg', "line 1: no label in '3,a.jpg': expected a path and a label, in this order"),
        ('a.jpg,', "line 1: no label in 'a.jpg,'"),
        ('e', "line 1: no label in 'e'"),
        ('a.jpg 1 0 1', "line 1: more than one label in 'a.jpg 1 0 1': expected a path and one label; several columns"),
        ('a.jpg,1,0', "line 1: more than one label in 'a.jpg,1,0'"),
        ('a.jpg golden retriever', 'more than one label in .* and a label with spaces a comma before it'),
        ('path,label\na.jpg', "line 2: 'a.jpg' has 1 columns, the first line 2"),
        ('path,label\na.jpg,', "line 2: no label in 'a.jpg,'"),
        ('path,label\n,3', "line 2: ',3' has 2 columns"),
        ('', 'names no image: give a path and a label per line, e.g. cats/a.jpg 3, relative to'),
        ('path,label\n', 'names no image'),
        (b'\xff\xfea\0\0\0', 'list.txt is not a text file: expected a path and a label per line'),
        (b'\xff\xfea\0\n', 'list.txt is not a text file'),
        (b'a.jpg\0 3', 'list.txt is not a text file'),
        (
            '/data/photos/a.jpg 3\nC:\\photos\\b.jpg 3',
            r"none of the images that /.*/list.txt names exists \(2 of 2 looked for\): '/data/photos/a.jpg' in line 1 "
            "stands for /data/photos/a.jpg: it exists without '/data/photos/': take that out of the paths$",
        ),
        (
            '# made by me\nprefix/a.jpg 3',
            "'prefix/a.jpg' in line 2 stands for /.*/prefix/a.jpg: it exists without 'prefix/'",
        ),
    ],
)
def test_what_cannot_be_understood_is_refused_in_one_line(tmp_path, text, says):
    with pytest.raises(UserError, match=says) as caught:
        read(tmp_path, text)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('text', ['3 a.jpg', '3,a.jpg', 'photos/gone.jpg'])
def test_a_list_of_which_no_photo_exists_shows_how_the_path_was_made(tmp_path, text):
    with pytest.raises(UserError) as caught:
        read(tmp_path, text, labelled=False)
    assert str(caught.value) == (
        f'none of the images that {tmp_path}/list.txt names exists (1 of 1 looked for): {text!r} in line 1 stands for '
        f'{tmp_path}/{text}: look again'
    )


# --- text -------------------------------------------------------------------------------------------------------------
def test_text_that_is_not_utf_8_is_read_in_the_western_code_page(tmp_path):
    (tmp_path / 'names.txt').write_bytes('café\r\nœuf\n'.encode('cp1252'))
    assert read_text(tmp_path / 'names.txt', 'classes', 'names') == ['café', 'œuf', '']


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(UserError, match='classes: .* cannot be read: Is a directory'):
        read_text(tmp_path, 'classes', 'names')

"""``mae-transfer``: which subcommand is meant, and how it ends."""

from __future__ import annotations

from ..starting import CODE, LINE, Starting

with Starting():
    import importlib
    import sys
    from collections.abc import Sequence
    from functools import partial
    from typing import Any, NoReturn

    from ..errors import UserError
    from ..processes import is_main_process
    from ..progress import Waiting
    from ..version import __version__
    from .parser import Parser, meant

#: The subcommands, in the order of a project, with a line each; their modules are in this room.
SUBCOMMANDS = {
    'pretrain': 'pre-train a ViT on photos without labels',
    'finetune': 'transfer it: to detection, segmentation or classification',
    'test': 'evaluate a run',
    'predict': 'boxes, masks, label maps or classes of images without annotations',
    'embed': 'a vector for each image',
    'reconstruct': 'draw photos masked, reconstructed and whole',
    'report': 'one HTML file of what runs learnt: results, curves, pictures, comparison',
    'explore': 'play with a ViT on a local page: masks, reconstructions, attention, features, nearest photos',
    'export': 'write a model as ONNX, or as a folder for timm or transformers',
    'convert': "weights from one project's layout to another's",
    'plan': 'which batch fits into the memory of GPUs, and how long a training takes',
    'doctor': 'what of this installation and machine works, and what to do about the rest',
}
#: Subcommands that also run where PyTorch or MMEngine are missing.
ALONE = ('doctor',)


def main(words: Sequence[str] | None = None) -> None:
    """Run a command line; ends the process with exit code 2 after a mistake of the user's.

    Args:
        words: after the program's name; by default those of the process.
    """
    words = sys.argv[1:] if words is None else list(words)
    try:
        if not words or words[0] in ('-h', '--help', 'help'):
            print(overview())
            return
        if words[0] == '--version':
            print(f'mae-transfer {__version__}')
            return
        if words[0] not in SUBCOMMANDS:
            raise UserError(
                f"there is no subcommand '{words[0]}'{meant(words[0], SUBCOMMANDS)}; mae-transfer --help lists them"
            )
        args = parser_of(words[0]).parse(words[1:])
        args.words = words
        run = partial(subcommand(words[0]).run, args)
        if words[0] in ALONE:
            sys.exit(run())
        with Waiting('PyTorch and the OpenMMLab packages imported'):
            from ..launch import console, run_main

        with console(getattr(args, 'verbose', False)):  # which doctor has not
            run_main(run)
    except UserError as error:
        _end(f'error: {error}', 2)
    except ModuleNotFoundError as error:
        package = (error.name or '').partition('.')[0]
        if package in ('', __package__.partition('.')[0]):
            raise
        _end(f'error: {package} is not installed: mae-transfer doctor says what to do', 2)
    except KeyboardInterrupt as stopped:
        _end(str(stopped) or LINE, CODE)


def _end(line: str, code: int) -> NoReturn:
    """Tell a line and end; of several processes the main one tells."""
    if is_main_process():
        print(line, file=sys.stderr)
    if (torch := sys.modules.get('torch')) is not None and torch.distributed.is_initialized():
        from ..compat.distributed import end_process

        end_process(code)
    sys.exit(code)


def overview() -> str:
    """What ``mae-transfer --help`` prints."""
    width = max(map(len, SUBCOMMANDS))
    return '\n'.join(
        [
            'usage: mae-transfer SUBCOMMAND ...',
            '',
            'Pre-train a Vision Transformer by masking, and carry it into detection, segmentation and classification.',
            '',
            *(f'  {name.ljust(width)}  {line}' for name, line in SUBCOMMANDS.items()),
            '',
            'mae-transfer SUBCOMMAND --help has the options and examples; mae-transfer --version the version.',
        ]
    )


def subcommand(name: str) -> Any:
    """The module of a subcommand."""
    return importlib.import_module(f'{__package__}.{name}')


def parser_of(name: str) -> Parser:
    """The parser of a subcommand."""
    module = subcommand(name)
    parser = Parser(name, module.__doc__, module.EXAMPLES)
    module.add_arguments(parser)
    if name not in ALONE:
        parser.add_argument('--verbose', action='store_true', help='show all of the log on the console')
    return parser

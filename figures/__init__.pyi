from .engine.render import draw_all as draw_all

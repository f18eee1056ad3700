"""Small packages in which an edit changes what `pkg.a.f` gives, by the way in which it is reached.

A line `# name` begins the module `pkg.name`; `<1|2>` is an edit.
"""

from __future__ import annotations

PATTERNS = {
    "getattr module": """
# a
def f():
    import pkg.b as b
    return getattr(b,'g')()
# b
def g(): return <1|2>
""",
    "globals()[..] own": """
# a
def g(): return <1|2>
def f(): return globals()['g']()
""",
    "import for side effect (import pkg.p)": """
# reg
T={}
# a
from pkg.reg import T
import pkg.p
def f(): return T['x']
# p
from pkg.reg import T
T['x']=<1|2>
""",
    "import for side effect (from pkg import p)": """
# reg
T={}
# a
from pkg.reg import T
from pkg import p as _p
def f(): return T['x']
# p
from pkg.reg import T
T['x']=<1|2>
""",
    "side-effect import in function": """
# reg
T={}
# a
from pkg.reg import T
def f():
    import pkg.p
    return T['x']
# p
from pkg.reg import T
T['x']=<1|2>
""",
    "imported @register in own file": """
# reg
T={}
def register(g):
    T[g.__name__]=g
    return g
# a
from pkg.reg import T, register
@register
def g(): return <1|2>
def f(): return T['g']()
""",
    "imported @register(name) in own file": """
# reg
T={}
def register(n):
    def d(g):
        T[n]=g
        return g
    return d
# a
from pkg.reg import T, register
@register('g')
def g(): return <1|2>
def f(): return T['g']()
""",
    "imported @register, lookup by function": """
# reg
T={}
def register(g):
    T[g.__name__]=g
    return g
def look(n): return T[n]()
# a
from pkg.reg import look, register
@register
def g(): return <1|2>
def f(): return look('g')
""",
    "own @register in own file": """
# a
T={}
def register(g):
    T[g.__name__]=g
    return g
@register
def g(): return <1|2>
def f(): return T['g']()
""",
    "imported base with __init_subclass__": """
# b
class B:
    subs={}
    def __init_subclass__(cls): B.subs[cls.__name__]=cls
# a
from pkg.b import B
class S(B):
    x=<1|2>
def f(): return B.subs['S'].x
""",
    "__subclasses__ imported base": """
# b
class B: pass
# a
from pkg.b import B
class S(B):
    x=<1|2>
def f(): return B.__subclasses__()[0].x
""",
    "__subclasses__ own base": """
# a
class B: pass
class S(B):
    x=<1|2>
def f(): return B.__subclasses__()[0].x
""",
    "globals()['X']=": """
# a
X=0
globals()['X']=<1|2>
def f(): return X
""",
    "setattr": """
# a
class C: pass
setattr(C,'x',<1|2>)
def f(): return C.x
""",
    "imported mutates own arg, bound result": """
# b
def fill(t,v):
    t['x']=v
    return 1
# a
from pkg.b import fill
T={}
_n=fill(T,<1|2>)
def f(): return T['x']
""",
    "stdlib mutates own arg, bound": """
# a
import operator
T={}
_n=operator.setitem(T,'x',<1|2>)
def f(): return T['x']
""",
    "own mutate via alias, bound": """
# a
T={}
def build(v):
    t=T
    t['x']=v
_n=build(<1|2>)
def f(): return T['x']
""",
    "own mutate param, bound": """
# a
T={}
def build(t,v):
    t['x']=v
_n=build(T,<1|2>)
def f(): return T['x']
""",
    "alias of table": """
# a
T={}
U=T
U['x']=<1|2>
def f(): return T['x']
""",
    "import pkg.b use pkg.c": """
# d
import pkg.c
# a
import pkg.d
def f(): return pkg.c.g()
# c
def g(): return <1|2>
""",
    "pkg.c loaded by function import": """
# d
def load():
    import pkg.c
# a
import pkg
from pkg.d import load
def f():
    load()
    return pkg.c.g()
# c
def g(): return <1|2>
""",
    "lazy __getattr__ in pkg": """
# __init__
def __getattr__(n):
    if n=='g':
        from pkg.b import g
        return g
    raise AttributeError(n)
# a
def f():
    from pkg import g
    return g()
# b
def g(): return <1|2>
""",
    "lazy __getattr__ sub, import pkg.s as s": """
# s.__init__
def __getattr__(n):
    from pkg.s.b import g
    return {'g': g}[n]
# s.b
def g(): return <1|2>
# a
import pkg.s as s
def f(): return s.g()
""",
    "lazy __getattr__ sub, sibling import": """
# s.__init__
X=0
def go():
    from pkg.s import b
    return b.g()
# s.b
def g(): return <1|2>
# s.c
import sys
def h(): return sys.modules['pkg.s'].go()
# a
from pkg.s.c import h
def f(): return h()
""",
    "sys.modules parent": """
# __init__
def go():
    from pkg.b import g
    return g()
# a
import sys
def f(): return sys.modules[__package__].go()
# b
def g(): return <1|2>
""",
    "import_module const": """
# a
from importlib import import_module
def f(): return import_module('pkg.b').g()
# b
def g(): return <1|2>
""",
    "star import": """
# a
from pkg.b import *
def f(): return g()
# b
def g(): return <1|2>
""",
    "star via init": """
# s.__init__
from pkg.s.i import *
# s.i
def g(): return <1|2>
# a
from pkg.s import g
def f(): return g()
""",
    "cond import": """
# a
try:
    import nope
except ImportError:
    from pkg.b import g
def f(): return g()
# b
def g(): return <1|2>
""",
    "TYPE_CHECKING else": """
# a
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    g=None
else:
    from pkg.b import g
def f(): return g()
# b
def g(): return <1|2>
""",
    "partial": """
# a
from functools import partial
def g(x): return x
P=partial(g,<1|2>)
def f(): return P()
""",
    "lambda table": """
# a
T={'a':lambda:<1|2>}
def f(): return T['a']()
""",
    "f-string const": """
# a
A='<x|y>'
B=f'{A}1'
def f(): return B
""",
    "default arg": """
# a
D=<1|2>
def f(x=D): return x
""",
    "param hides but default uses": """
# a
g=<1|2>
def h(g=g): return g
def f(): return h()
""",
    "param hides in outer, inner class attr": """
# a
X=<1|2>
def h(X):
    class C:
        global X
        y=X
    return C.y
def f(): return h(5)
""",
    "method param hides": """
# a
X=<1|2>
class C:
    def m(self, X): return self.n()
    def n(self): return X
def f(): return C().m(3)
""",
    "lambda param hides in default": """
# a
X=<1|2>
G=lambda X=X: X
def f(): return G()
""",
    "dataclass field default": """
# a
from dataclasses import dataclass
@dataclass
class C:
    x:int=<1|2>
def f(): return C().x
""",
    "class attr patched elsewhere in file fn": """
# a
class C:
    x=0
def _init():
    C.x=<1|2>
_init()
def f(): return C.x
""",
    "for loop table": """
# a
T={}
for k in 'ab':
    T[k]=<1|2>
def f(): return T['a']
""",
    "if-main reassign": """
# a
X=1
if X:
    Y=<1|2>
def f(): return Y
""",
    "with/as + try": """
# a
import contextlib
T=[]
with contextlib.suppress(KeyError):
    T.append(<1|2>)
def f(): return T[0]
""",
    "listcomp side effect": """
# a
T=[]
[T.append(i) for i in (<1|2>,)]
def f(): return T[0]
""",
    "chained method on result": """
# b
class R:
    t={}
    def at(s): return s
    def add(s,k,v):
        s.t[k]=v
        return s
R0=R()
# a
from pkg.b import R0
_x=R0.at().add('k',<1|2>)
def f(): return R0.t['k']
""",
    "eval string": """
# a
X=<1|2>
def f(): return eval('X')
""",
    "nested func import relative": """
# s.x
def g():
    from ..b import h
    return h()
# b
def h(): return <1|2>
# a
from .s.x import g
def f(): return g()
""",
    "subpackage init side effect of sibling": """
# s.__init__
import pkg.s.plug
# s.reg
T={}
# s.plug
from pkg.s.reg import T
T['x']=<1|2>
# a
from pkg.s.reg import T
def f(): return T['x']
""",
    "del and rebinding import": """
# a
from pkg.b import g
from pkg.c import g
def f(): return g()
# b
def g(): return 0
# c
def g(): return <1|2>
""",
    "property setter decorator": """
# a
class C:
    @property
    def x(self): return <1|2>
def f(): return C().x
""",
    "singledispatch register own": """
# a
from functools import singledispatch
@singledispatch
def g(x): return 0
@g.register
def _(x:int): return <1|2>
def f(): return g(3)
""",
    "imported singledispatch @g.register": """
# b
from functools import singledispatch
@singledispatch
def g(x): return 0
# a
from pkg.b import g
@g.register
def _(x:int): return <1|2>
def f(): return g(3)
""",
    "atexit/decorator factory from module attr": """
# reg
T={}
def register(g):
    T[g.__name__]=g
    return g
# a
from pkg import reg
@reg.register
def g(): return <1|2>
def f(): return reg.T['g']()
""",
    "import pkg.reg; @pkg.reg.register": """
# reg
T={}
def register(g):
    T[g.__name__]=g
    return g
# a
import pkg.reg
@pkg.reg.register
def g(): return <1|2>
def f(): return pkg.reg.T['g']()
""",
    "import pkg.reg as r; @r.register": """
# reg
T={}
def register(g):
    T[g.__name__]=g
    return g
# a
import pkg.reg as r
@r.register
def g(): return <1|2>
def f(): return r.T['g']()
""",
    "Enum member used by value": """
# a
from enum import Enum
class E(Enum):
    A=<1|2>
def f(): return E['A'].value
""",
    "typing string annotation eval": """
# a
X=<1|2>
def g(a:'X'): pass
import typing
def f():
    return eval(g.__annotations__['a'])
""",
}

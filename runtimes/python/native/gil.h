// CPython's lock as the guard of a worker's channel.
#pragma once

#include "python.h"
#include "worker/guard.h"

namespace sterna::python {

class Gil final : public worker::Guard {
  void* pause() override { return PyEval_SaveThread(); }
  void resume(void* state) override { PyEval_RestoreThread(static_cast<PyThreadState*>(state)); }
  int enter() override { return PyGILState_Ensure(); }
  void leave(int state) override { PyGILState_Release(static_cast<PyGILState_STATE>(state)); }
};

}  // namespace sterna::python

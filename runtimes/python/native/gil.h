// CPython's lock as the guard of a worker's channel.
#pragma once

#include "python.h"
#include "worker/guard.h"

namespace sterna::python {

class Gil final : public worker::Guard {
 public:
  // Between calls nobody catches what a signal's handler raises: it goes to the log.
  void on_signal() override {
    if (PyErr_CheckSignals() != 0) PyErr_WriteUnraisable(nullptr);
  }

 private:
  void* pause() override { return PyEval_SaveThread(); }
  void resume(void* state) override { PyEval_RestoreThread(static_cast<PyThreadState*>(state)); }
  int enter() override { return PyGILState_Ensure(); }
  void leave(int state) override { PyGILState_Release(static_cast<PyGILState_STATE>(state)); }
};

}  // namespace sterna::python

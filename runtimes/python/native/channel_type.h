// The Python type `Channel`: what the Python part of the runtime uses of channel.h and handler_server.h.
#pragma once

#include "python.h"

namespace sterna::python {

// Makes the type and puts it into `module`. False: a Python error is set.
bool add_channel_type(PyObject* module);

}  // namespace sterna::python

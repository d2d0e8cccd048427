// Writes handlers' answers as RESPONSE frames: the common forms at once, all others after
// sterna_worker/answers.py has brought them into one form.
#pragma once

#include <cstdint>

#include "python.h"
#include "worker/channel.h"

namespace sterna::python {

using worker::CallId;
using worker::Channel;

// Makes the names that answers are looked up by. `json_encode` turns a dict or list into a str. False: a
// Python error is set.
bool set_up_answers(PyObject* json_encode);

// Appends the answer's RESPONSE when it has a common form: a dict with a status, a body (str, bytes, None,
// dict or list) that fits into the first window, and headers as a dict of str. Answers whether it did; when
// not, nothing is appended, no Python error is set, and the slow way must look at it, which also says what is
// wrong.
bool write_common_answer(Channel& channel, CallId id, std::uint64_t run_ns, PyObject* answer);

}  // namespace sterna::python

// What is called when an assertion fails, before the process ends.
#pragma once

namespace sterna {

// In the thread that fails; nullptr: nothing. Any thread.
void before_abort(void (*last_words)());

}  // namespace sterna

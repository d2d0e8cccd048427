// The headers of a function's answer that go to who called it: end-to-end, and not the platform's own.
#pragma once

#include <functional>
#include <string_view>

#include "wire/messages.h"

namespace sterna::invoke {

// In order, repeated ones too.
void for_each_answer_header(const wire::ResponseHead& head,
                            const std::function<void(std::string_view name, std::string_view value)>& each);

}  // namespace sterna::invoke

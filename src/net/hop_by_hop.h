// Headers that are for one connection only and are not passed on (RFC 9110 7.6.1).
#pragma once

#include <string_view>

#include "net/header.h"

namespace sterna::net {

// `connection` is the message's Connection headers as one list: it may name more.
bool is_hop_by_hop(const Header& header, std::string_view connection);

}  // namespace sterna::net

#include "sandbox/admission.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "sandbox/netfilter_messages.h"

namespace sterna::sandbox {
namespace {

constexpr std::uint32_t kPortBytes = 4;

void add_set(NetfilterMessages& messages, bool v4) {
  messages.begin(NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL, NFTA_SET_TABLE);
  messages.text(NFTA_SET_NAME, admission_set(v4));
  messages.number(NFTA_SET_FLAGS, NFT_SET_TIMEOUT | NFT_SET_EVAL);
  messages.number(NFTA_SET_KEY_TYPE, 0);  // a note of nft's for itself
  messages.number(NFTA_SET_KEY_LEN, admission_key_bytes(v4));
  messages.number(NFTA_SET_ID, v4 ? 1 : 2);
  messages.long_number(NFTA_SET_TIMEOUT, std::chrono::milliseconds(kAdmissionTime).count());
  const std::size_t description = messages.open(NFTA_SET_DESC);
  messages.number(NFTA_SET_DESC_SIZE, kMaxAdmitted);
  messages.close(description);
  messages.end();
}

void add_element(NetfilterMessages& messages, int message, std::uint16_t flags, const Admission& admitted) {
  const bool v4 = admitted.address.is_v4();
  std::array<std::uint8_t, 16 + kPortBytes> key{};
  const auto address = packet_bytes(admitted.address);
  std::ranges::copy(address, key.begin());
  const std::uint16_t port = htons(admitted.port.value_or(0));
  std::memcpy(key.data() + address.size(), &port, sizeof port);
  messages.begin(message, flags, NFTA_SET_ELEM_LIST_TABLE);
  messages.text(NFTA_SET_ELEM_LIST_SET, admission_set(v4));
  const std::size_t list = messages.open(NFTA_SET_ELEM_LIST_ELEMENTS);
  const std::size_t element = messages.open(NFTA_LIST_ELEM);
  messages.value(NFTA_SET_ELEM_KEY, key.data(), admission_key_bytes(v4));
  messages.close(element);
  messages.close(list);
  messages.end();
}

}  // namespace

const char* admission_set(bool v4) {
  return v4 ? "admitted4" : "admitted6";
}

std::uint32_t admission_key_bytes(bool v4) {
  return (v4 ? 4U : 16U) + kPortBytes;
}

void add_admission_sets(NetfilterMessages& messages) {
  add_set(messages, true);
  add_set(messages, false);
}

// The time of an element that is there already is not set anew by adding it once more: it is taken out and
// put in again. Nobody sees the time between, the batch is one change.
std::string admission_messages(std::span<const Admission> admitted) {
  NetfilterMessages messages;
  for (const Admission& each : admitted) {
    add_element(messages, NFT_MSG_NEWSETELEM, NLM_F_CREATE, each);
    add_element(messages, NFT_MSG_DELSETELEM, 0, each);
    add_element(messages, NFT_MSG_NEWSETELEM, NLM_F_CREATE, each);
  }
  return messages.take();
}

Status admit(int filter, std::span<const Admission> admitted) {
  if (admitted.empty()) return {};
  const std::string messages = admission_messages(admitted);
  const int error = send_netfilter(filter, messages.data(), messages.size());
  if (error == 0) return {};
  if (error == ENFILE)
    return fail(Code::kExhausted, Component::kWorker, "too_many_addresses",
                "a worker's names have led to too many addresses");
  return fail_errno(Component::kWorker, "admit an address to a worker's network", error);
}

}  // namespace sterna::sandbox

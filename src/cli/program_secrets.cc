// Flags of the commands for secrets.
#include "cli/program_parts.h"

namespace sterna::cli {

void Program::add_secrets() {
  CLI::App& group =
      parts_->add_group("secrets", "Set, list, and delete the values that functions keep secret");
  CLI::App& set = parts_->add(group, "set", "Set a secret; its value comes from standard input or a file",
                              [p = parts_.get()] { return set_secret(p->target, p->set_secret); });
  set.add_option("name", parts_->set_secret.name, "The secret, named like a variable: DB_PASSWORD")
      ->type_name("SECRET")
      ->required();
  set.add_option("--file", parts_->set_secret.file, "File that holds the value, every byte of it")
      ->type_name("FILE");
  parts_->add(group, "list", "List the secrets of the space, without their values",
              [p = parts_.get()] { return list_secrets(p->target); });
  CLI::App& remove = parts_->add(group, "delete", "Delete a secret", [p = parts_.get()] {
    return delete_secret(p->target, p->name, p->force ? DeleteSecret::kAlsoUsed : DeleteSecret::kUnused);
  });
  remove.add_option("name", parts_->name, "The secret")->type_name("SECRET")->required();
  remove.add_flag("--force", parts_->force, "Also when functions use it");
}

}  // namespace sterna::cli
